"""Corpora of moving digits and shapes, and their batches."""
