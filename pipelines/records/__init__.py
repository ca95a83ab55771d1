"""Records and what a domain defines about them: schema, conversion, redaction, labeling functions, behaviors."""
