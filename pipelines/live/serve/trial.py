"""One evaluation of a canary: answers of champion and challenger to the same records, compared on late labels."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.canary import CanaryResult, clipped_log_losses, largest_difference, sequential_test
from pipelines.monitoring import predictions

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
    result = compare_losses(
        paired(live, champion=champion, challenger=challenger, days=params.days, today=today), params=params
    )
    found |= {"state": result.state, "pairs": result.pairs, "evidence": result.evidence}
    found["mean_difference"] = result.mean_difference
    if result.state == "running" and not outlasted(live, challenger=challenger, days=params.days, today=today):
        return found
    if result.state == "running":
        reason = (
            f"no result after {params.days} days (serve.canary.days): {result.pairs} of {params.pairs_wanted} labeled "
            "records; check first whether late labels arrive"
        )
        moved = stop_canary(registry, version=challenger, reason=reason)
        return {**found, "state": "stopped", "reason": reason, "action": moved["action"]}
    difference = f"mean loss {result.mean_difference:+.4f} against version {champion} on {result.pairs} labeled records"
    if result.state == "stopped":
        reason = f"the canary is worse: {difference}, evidence {result.evidence:.1f} >= {1 / params.alpha:g}"
        moved = stop_canary(registry, version=challenger, reason=reason)
    else:
        reason = f"the canary is not worse: {difference}"
        moved = complete_canary(registry, version=challenger, reason=reason)
    return {**found, "reason": reason, "action": moved["action"]}


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
        variance=params.variance,
        burn_in=params.burn_in,
        pairs_wanted=params.pairs_wanted,
        largest=largest_difference(params.loss_floor),
    )


def paired(live: Path, *, champion: int, challenger: int, days: int, today: date) -> pd.DataFrame:
    """Return `confidence_old|new` and `right_old|new` of the labeled records that both versions answered."""
    import pandas as pd

    start, end = today - timedelta(days=days), today + timedelta(days=1)
    labels = predictions.read_labels(live, start=start, end=end)
    frame = predictions.read_predictions(live, start=start, end=end)
    empty = pd.DataFrame(columns=["confidence_old", "right_old", "confidence_new", "right_new"])
    if labels.empty or frame.empty:
        return empty
    labels = labels.drop_duplicates("record_id", keep="first")
    sides = {}
    for side, version in (("old", champion), ("new", challenger)):
        answers = frame[frame["model_version"] == version].drop_duplicates("record_id", keep="first")
        sides[side] = answers.set_index("record_id")[["label", "confidence"]].add_suffix(f"_{side}")
    joined = (
        labels.sort_values(["labeled_at", "record_id"])
        .join(sides["old"], on="record_id", how="inner")
        .join(sides["new"], on="record_id", how="inner")
    )
    for side in ("old", "new"):
        joined[f"right_{side}"] = (joined[f"label_{side}"] == joined["label"]).astype(bool)
    return joined[list(empty.columns)].reset_index(drop=True)
