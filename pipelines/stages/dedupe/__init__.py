"""Stage dedupe: keep one record of each text."""
