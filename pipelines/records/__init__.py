"""Records and what a domain says about them: schema, conversion, redaction, labeling functions, behaviors."""
