"""Corpora of speech and their features."""
