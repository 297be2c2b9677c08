"""Runs mirrored into trackers: W&B, TensorBoard, MLflow.

Records and artifacts are the store: no result is ever read back from a tracker, and a tracker that
fails costs a warning, never a run.
"""
