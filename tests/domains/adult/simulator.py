"""No simulated stream: the source is files."""
