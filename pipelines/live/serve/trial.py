"""One evaluation of a canary: answers of champion and challenger to the same records, compared on late labels."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.canary import CanaryResult, clipped_log_losses, largest_difference, sequential_test
from pipelines.monitoring import predictions
from pipelines.monitoring.sampling import facts_of, find_selection, latest_labels

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from pipelines.live.release.registry import Registry
    from pipelines.live.serve.metrics import Metrics
    from pipelines.live.serve.params import CanaryParams

logger = logging.getLogger(__name__)

WEEK_DAYS = 7  # a canary is evaluated at least once per week


def evaluate_canary(
    registry: Registry,
    *,
    live: Path,
    params: CanaryParams,
    today: date,
    metrics: Metrics | None = None,
    stuck: float = 0.0,
) -> dict[str, Any]:
    """Stop, complete or leave the canary, whose present call has run for `stuck` seconds.

    Returns {"state": "none" | "running" | "stopped" | "completed", ...}.
    """
    from pipelines.live.release.moves import complete_canary, stop_canary
    from pipelines.live.release.registry import CHALLENGER, CHAMPION

    champion, challenger = registry.alias(CHAMPION), registry.alias(CHALLENGER)
    if champion is None or challenger is None or champion == challenger:
        return {"state": "none", "champion": champion, "challenger": challenger}
    found: dict[str, Any] = {"champion": champion, "challenger": challenger}
    fault = fault_of(metrics, champion=champion, challenger=challenger, params=params) if metrics else None
    if stuck > params.max_call_seconds:
        fault = f"one of its calls has been running for {stuck:.0f} seconds: more than {params.max_call_seconds:g}"
    if fault:
        moved = stop_canary(registry, version=challenger, reason=fault)
        return {**found, "state": "stopped", "reason": fault, "action": moved["action"]}
    answered = answered_by_both(live, champion=champion, challenger=challenger, days=params.days, today=today)
    result, selection = compare_losses(pairs_of(answered), params=params), selection_of(answered)
    state = "running" if selection["depends"] else result.state
    found |= {"state": state, "pairs": result.pairs, "evidence": result.evidence}
    found |= {"mean_difference": result.mean_difference, "interval": result.interval, "selection": selection["why"]}
    if state == "running" and not outlasted(live, challenger=challenger, days=params.days, today=today):
        return found
    if state == "running":
        reason = (
            f"no result after {params.days} days (serve.canary.days): {result.pairs} of {params.pairs_wanted} labeled "
            f"records; {selection['why'] or 'check first whether late labels arrive'}"
        )
        moved = stop_canary(registry, version=challenger, reason=reason)
        return {**found, "state": "stopped", "reason": reason, "action": moved["action"]}
    reason = reason_of(result, champion=champion, params=params)
    move = stop_canary if state == "stopped" else complete_canary
    return {**found, "reason": reason, "action": move(registry, version=challenger, reason=reason)["action"]}


def reason_of(result: CanaryResult, *, champion: int, params: CanaryParams) -> str:
    """Return what the test has shown, with the difference of losses and its interval."""
    assert result.mean_difference is not None and result.interval is not None
    low, high = result.interval
    shown = {
        "worse": "the canary is shown to be worse",
        "not_worse_by_margin": f"the canary is shown not to be worse by {params.max_loss_increase:g} or more",
        "nothing": "the canary was not shown to be worse, nor that it is not",
    }[result.shown]
    return (
        f"{shown}: loss difference {result.mean_difference:+.3f} [{low:+.3f}, {high:+.3f}] against version {champion} on "
        f"{result.pairs} labeled records, each bound at {1 - params.alpha:.0%}"
    )


def outlasted(live: Path, *, challenger: int, days: int, today: date) -> bool:
    """Return whether the challenger answered before the first day in view: a test that drops pairs is not valid."""
    start = today - timedelta(days=days)
    before = predictions.read_predictions(live, start=start - timedelta(days=WEEK_DAYS), end=start)
    return not before.empty and bool((before["model_version"] == challenger).any())


def fault_of(metrics: Metrics, *, champion: int, challenger: int, params: CanaryParams) -> str | None:
    """Return why the challenger must stop whatever its quality (fails too often, too slow), or None."""
    failed, calls = metrics.failures(challenger)
    if calls < params.min_calls:
        return None
    if failed / calls > params.max_error_share:
        return f"{failed} of {calls} calls failed: more than {params.max_error_share:.1%}"
    ours, theirs = metrics.milliseconds(champion), metrics.milliseconds(challenger)
    if ours and theirs and theirs / ours > params.max_slowdown:
        return f"{theirs:.1f} ms per record, the champion {ours:.1f}: more than {params.max_slowdown:g} times as long"
    return None


def compare_losses(pairs: pd.DataFrame, *, params: CanaryParams) -> CanaryResult:
    """Run the sequential test on pairs in the order in which their labels arrived."""
    losses = {
        side: clipped_log_losses(
            pairs[f"confidence_{side}"].tolist(), pairs[f"right_{side}"].tolist(), floor=params.loss_floor
        )
        for side in ("old", "new")
    }
    return sequential_test(
        [new - old for old, new in zip(losses["old"], losses["new"], strict=True)],
        alpha=params.alpha,
        burn_in=params.burn_in,
        pairs_wanted=params.pairs_wanted,
        largest=largest_difference(params.loss_floor),
        margin=params.max_loss_increase,
    )


def answered_by_both(live: Path, *, champion: int, challenger: int, days: int, today: date) -> pd.DataFrame:
    """Return the records that both versions answered, (n,), in order of receipt.

    `label_old|new` and `confidence_old|new` are the answers, `served_new` whether the challenger's was sent; `label`,
    `sampled_at` and `complete` are the record's latest label (see `sampling.latest_labels`), null without one.
    """
    import pandas as pd

    start, end = today - timedelta(days=days), today + timedelta(days=1)
    frame = predictions.read_predictions(live, start=start, end=end)
    labels = predictions.read_labels(live, start=start, end=end)
    if frame.empty:
        return pd.DataFrame()
    sides = []
    for side, version in (("old", champion), ("new", challenger)):
        own = frame[frame["model_version"] == version].sort_values("role", kind="stable")
        answers = own.drop_duplicates("record_id", keep="first").set_index("record_id")
        answers["served"] = answers["role"] != "shadow"
        sides.append(answers[["received_at", "label", "confidence", "served"]].add_suffix(f"_{side}"))
    both = sides[0].join(sides[1], how="inner").rename(columns={"received_at_old": "received_at"}).reset_index()
    columns = ["record_id", "label", "sampled_at", "complete"]
    if labels.empty:
        known = pd.DataFrame({"record_id": both["record_id"].iloc[:0], "label": None, "sampled_at": pd.NaT})
        known["complete"] = False
    else:
        known = latest_labels(labels)[columns]
    both = both.merge(known, on="record_id", how="left")
    both["complete"] = both["complete"].eq(True).fillna(False).astype(bool)
    return both.sort_values(["received_at", "record_id"], ignore_index=True)


def paired(live: Path, *, champion: int, challenger: int, days: int, today: date) -> pd.DataFrame:
    """Return `confidence_old|new` and `right_old|new` of the records that both versions answered and that were
    labeled under a known sampling, in the order in which those labels arrived.
    """
    return pairs_of(answered_by_both(live, champion=champion, challenger=challenger, days=days, today=today))


def pairs_of(answered: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of `paired` from the rows of `answered_by_both`."""
    import pandas as pd

    names = ["confidence_old", "right_old", "confidence_new", "right_new"]
    if answered.empty:
        return pd.DataFrame(columns=names)
    pairs = answered[answered["sampled_at"].notna()].sort_values(["sampled_at", "record_id"], ignore_index=True)
    for side in ("old", "new"):
        pairs[f"right_{side}"] = (pairs[f"label_{side}"] == pairs["label"]).astype(bool)
    return pairs[names]


def selection_of(answered: pd.DataFrame) -> dict[str, Any]:
    """Return whether labels depend on the answers of either version, see `sampling.find_selection`."""
    if answered.empty:
        return {"depends": False, "why": "", "labeled": 0, "rows": 0, "found": []}
    sides = {
        name: answered[[f"label_{side}", f"confidence_{side}"]].set_axis(["label", "confidence"], axis=1)
        for side, name in (("old", "champion"), ("new", "challenger"))
    }
    served = {"share of records that the challenger answered": answered["served_new"].astype("float64")}
    return find_selection(answered, facts_of(sides) | served)
