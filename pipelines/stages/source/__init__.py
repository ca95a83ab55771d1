"""The source is reached and its content identified, so that no cached result of another one is taken for its own."""
