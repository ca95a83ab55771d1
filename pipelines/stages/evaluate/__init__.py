"""Stage evaluate: both candidates on both gold test sets, one of them chosen."""
