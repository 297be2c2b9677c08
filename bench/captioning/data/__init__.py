"""Corpora of captioned images: files, words, features, batches, and the synthetic twin."""
