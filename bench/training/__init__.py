"""Carrying out the training of an objective: the loop, its checkpoints, what the user sees."""
