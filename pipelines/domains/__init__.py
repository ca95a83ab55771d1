"""One folder a problem: everything that belongs to it and nothing else."""
