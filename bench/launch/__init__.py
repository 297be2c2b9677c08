"""How workers start and are watched: local processes, Slurm jobs, Ray actors; nothing else."""
