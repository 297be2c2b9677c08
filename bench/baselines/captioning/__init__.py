"""Captions without training: those of the nearest training images, of any image, of people."""
