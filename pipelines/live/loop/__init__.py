"""Loop: the whole story on simulated time, from the first champion to a rollback; no stage, and nobody's own state."""
