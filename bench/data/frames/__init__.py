"""Sequences of frames in which something moves."""
