"""Drift watch: compare what the champion receives and answers with the weeks it was trained on, and decide."""
