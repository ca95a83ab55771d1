"""Release: what acts on the model registry; no stage, so DVC never skips or repeats it."""
