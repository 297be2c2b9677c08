"""Baselines of text: n-grams, caches, maximum entropy, random forests, mixtures."""
