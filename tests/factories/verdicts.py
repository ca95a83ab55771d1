"""Small verdicts of gates."""

from __future__ import annotations

from pipelines.gates.verdict import Check, Verdict


def verdict(stage: str = "label", *, value: float) -> Verdict:
    """Return a verdict of one required check `kappa` with the limit 0.7: open from there on, else closed."""
    check = Check.at_least("kappa", value, limit=0.7, rows=100, min_rows=1, required=True, sentence="agreement")
    return Verdict.of(stage, [check])
