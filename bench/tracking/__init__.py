"""Runs mirrored into trackers: W&B, TensorBoard, MLflow.

The record and the artifacts are the store. Nothing is ever read back from here into a result, and
a tracker that fails costs a warning, never a run.
"""
