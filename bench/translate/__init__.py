"""Finished translation models at work: on lines of text, and on the lists of other systems."""
