"""Scores of captions: BLEU, ROUGE-L and CIDEr as the caption toolkit has them, and copying."""
