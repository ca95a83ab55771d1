"""No behavior is required: rows have no texts to change."""
