"""Sweeps: many runs of a task, chosen by a sampler, under one budget."""
