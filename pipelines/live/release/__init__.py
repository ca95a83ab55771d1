"""Release: everything that acts on the model registry; not a stage, so DVC never skips or repeats it."""
