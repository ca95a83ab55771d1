"""Loop: the whole scenario on simulated time, from the first champion to a rollback; no stage, and nobody's own state."""
