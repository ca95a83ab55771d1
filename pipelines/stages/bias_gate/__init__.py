"""Stage bias_gate: which groups are left out or labeled incorrectly, and training weights."""
