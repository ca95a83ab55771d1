"""Stage evaluate: the candidates on both gold test sets, one of them chosen."""
