"""Parallel corpora: specification, pairs, subwords, batches, and the synthetic twin."""
