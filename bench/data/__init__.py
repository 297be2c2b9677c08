"""Corpora: bytes become examples. Nothing is imported here, so that reading a card stays fast."""
