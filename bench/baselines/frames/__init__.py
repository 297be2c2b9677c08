"""Predictors of frames that learn without a gradient."""
