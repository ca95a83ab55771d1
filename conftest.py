"""Makes the stages importable from the repository root in every test."""
