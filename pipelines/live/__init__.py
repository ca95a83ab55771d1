"""What acts on a released model: release, score, serve, drift, loop."""
