"""Score: the champion's answers for a window of new input."""
