"""Corpora of text: specification, reading, streams, and the synthetic twin."""
