"""Shingles of texts and the MinHash kernels that find near duplicates."""
