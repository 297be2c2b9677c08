"""Captioners: any recurrence that writes about an image, and retrieval of one by the other."""
