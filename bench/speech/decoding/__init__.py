"""Searches for label sequences: best path, prefix beams, beams along alignments."""
