"""Objectives of captioning: writing captions, ranking sentences and images."""
