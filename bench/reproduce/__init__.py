"""Reproduction of published rows: one run for each row and seed, then the table."""
