"""The stages of dvc.yaml, one folder per stage."""
