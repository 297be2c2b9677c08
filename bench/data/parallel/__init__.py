"""Parallel text: pairs of a sentence and its translation. Nothing is imported here."""
