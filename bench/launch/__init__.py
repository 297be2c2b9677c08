"""Launchers: workers as local processes, Slurm jobs or Ray actors, started and watched."""
