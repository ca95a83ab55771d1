"""Scoring: the champion's predictions for a window of new input."""
