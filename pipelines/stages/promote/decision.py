"""Decide to release, keep or refuse, with every number behind the decision and one sentence that explains it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.gates.verdict import Check
from pipelines.models.candidates import NAMES
from pipelines.records.schema import DomainSchema
from pipelines.stages.promote.params import PromoteParams
from pipelines.stages.promote.rules import (
    ANCHOR_ERROR,
    Action,
    Comparison,
    Contest,
    SliceHarm,
    anchor_check,
    anchor_error_check,
    compare_macro_f1,
    compare_slices,
    release_check,
)


@dataclass(frozen=True)
class Decision:
    """The action and its reason; `soundness` checks close the gate (refuse), `rules` only prevent a release (keep)."""

    action: Action
    reason: str
    soundness: tuple[Check, ...]
    rules: tuple[Check, ...]
    comparisons: tuple[Comparison, ...]
    slices: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the part of `decision.json` that was decided here."""
        return {
            "action": self.action,
            "reason": self.reason,
            "comparisons": [item.as_dict() for item in self.comparisons],
            "slices": list(self.slices),
            "checks": [_plain(check) for check in (*self.soundness, *self.rules)],
        }


def decide(
    candidate: str,
    soundness: Sequence[Check],
    *,
    recent: Contest | None,
    anchor: Contest | None,
    same_model: bool,
    schema: DomainSchema,
    params: PromoteParams,
    seed: int,
) -> Decision:
    """Compare with the champion on `recent` and with the best champion so far on `anchor`.

    Without a champion, the rival in `recent` always predicts the most frequent class, and `anchor` is None. When a
    soundness check closes, nothing is compared and the decision is to refuse.
    """
    name = NAMES.get(candidate, candidate)
    closed = [check for check in soundness if check.closes]
    if closed or recent is None or not recent.usable:
        why = "; ".join(check.sentence for check in closed) or "the rolling test set has no gold rows to compare on"
        return Decision("refuse", f"Refused, because the evidence is not sound: {why}.", tuple(soundness), (), (), ())
    first = anchor is None
    margin = params.prior_margin if first else -params.margin
    common: dict[str, Any] = {"labels": schema.labels, "params": params, "seed": seed}
    against = "prior" if first else "champion"
    main = compare_macro_f1(
        recent, name=f"recent_macro_f1_against_{against}", test_set="recent", limit=margin, **common
    )
    comparisons, rules = [main], [release_check(main, params=params, first=first)]
    checks, harm = list(soundness), SliceHarm((), (), singled_out=False)
    if anchor is not None:
        floor = compare_macro_f1(
            anchor, name="anchor_macro_f1_against_best", test_set="anchor", limit=-params.anchor_margin, **common
        )
        comparisons.append(floor)
        rules += [anchor_check(floor), anchor_error_check(anchor, **common)]
        harm = compare_slices(recent, schema=schema, params=params, seed=seed)
    failed = [rule for rule in rules if rule.outcome != "passed"]
    if anchor is not None:
        # A model that is worse on all slices is just not good enough; one that sacrifices a slice must not pass.
        unfair = not failed or harm.singled_out
        (checks if unfair else rules).append(_harm_check(harm, params=params))
    if harm.harmed and (harm.singled_out or not failed):
        action, reason = "refuse", _refused(name, recent.against, harm, params=params)
    elif same_model:
        action, reason = (
            "keep",
            f"Kept: the {name} is identical to {recent.against}; nothing to release.",
        )
    elif failed:
        action, reason = "keep", _kept(name, failed, main=main, first=first)
    else:
        action, reason = "release", _released(name, main, first=first)
    return Decision(action, reason, tuple(checks), tuple(rules), tuple(comparisons), harm.table)  # type: ignore[arg-type]


def _refused(name: str, against: str, harm: SliceHarm, *, params: PromoteParams) -> str:
    return (
        f"Refused: against {against} the {name} harms {', '.join(harm.harmed)} "
        f"with confidence (by more than {100 * params.slice_margin:g} points of accuracy)."
    )


def _released(name: str, main: Comparison, *, first: bool) -> str:
    score = f"macro-F1 {main.candidate:.3f} on {main.difference.rows} gold rows of the rolling test set"
    if first:
        return f"Released: the {name} is the first champion, with {score}; {main.against} has {main.rival:.3f}."
    verb = "is better than" if main.better else f"is at most {-100 * main.limit:g} points worse than"
    return f"Released: the {name} {verb} {main.against}: {score} against {main.rival:.3f} ({_span(main)})."


def _kept(name: str, failed: Sequence[Check], *, main: Comparison, first: bool) -> str:
    stays = "nothing is released" if first else f"{main.against} remains"
    scores = f"macro-F1 {main.candidate:.3f} against {main.rival:.3f} ({_span(main)})"
    reasons = "; ".join(
        f"the fixed test set is too small: {rule.sentence}"
        if rule.name == ANCHOR_ERROR
        else f"not shown: {rule.sentence}"
        for rule in failed
    )
    return f"Kept ({stays}): the {name} scores {scores}; {reasons}."


def _span(found: Comparison) -> str:
    difference = found.difference
    bounds = (
        f", one-sided {difference.confidence:.0%} bounds {100 * difference.lower:+.1f} to {100 * difference.upper:+.1f}"
        if difference.interval
        else ", no interval because all rows are in one cluster"
    )
    return f"{100 * difference.value:+.1f} points{bounds}"


def _harm_check(harm: SliceHarm, *, params: PromoteParams) -> Check:
    worst = min(harm.table, key=lambda row: row["difference"], default=None)
    harmed = f"; harmed: {', '.join(harm.harmed)}" if harm.harmed else ""
    return Check.equals(
        "harmed_slices",
        len(harm.harmed),
        limit=0,
        rows=sum(row["rows"] for row in harm.table),
        min_rows=0,
        required=True,
        sentence=f"none of {len(harm.table)} slices loses, with confidence, more than {100 * params.slice_margin:g} points of "
        f"accuracy{harmed}",
        details={"worst": worst} if worst else {},
    )


def _plain(check: Check) -> dict[str, Any]:
    content = asdict(check)
    for key in ("value", "limit"):
        if isinstance(content[key], float) and not np.isfinite(content[key]):
            content[key] = None
    return content
