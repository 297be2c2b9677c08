"""Baselines of captioning: nearest neighbours, random and human captions."""
