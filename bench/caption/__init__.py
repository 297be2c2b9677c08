"""Finished captioners at work: other searches, ensembles, retrieval by their likelihood."""
