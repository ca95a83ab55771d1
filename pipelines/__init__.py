"""Stages of the continuous-training pipeline and the parts that act on live data."""
