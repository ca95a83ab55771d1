"""Labeling functions vote, their votes become soft labels, and gold rows say how good those are."""
