"""Operators and sensors of the DAG `drift_watch`."""
