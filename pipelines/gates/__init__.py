"""Verdicts of gates, their overrides, and the only answer to "is this gate open?"."""
