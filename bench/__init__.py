"""Measure recurrent architectures on sequence tasks beside the papers' tables."""

__version__ = "0.1.0"
