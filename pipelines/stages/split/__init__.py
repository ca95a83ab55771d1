"""Stage split: cut train, validation and the two gold test sets by time, nothing leaking."""
