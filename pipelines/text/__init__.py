"""Shingles of texts, the MinHash kernels that find near duplicates, and scripts without spaces."""
