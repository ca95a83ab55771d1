"""Evidence that a page is made of: metrics and verdicts of one run, or the reasons why they are incomplete."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pipelines.gates.evidence import changed_evidence
from pipelines.gates.status import gate_status, load_verdict
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.store import Store

GATES = ("ingest", "dedupe", "split", "label", "bias_gate", "evaluate")


@dataclass(frozen=True)
class RunEvidence:
    """Metrics and verdicts of a stage and of the stages it read, by stage; complete without `problems`."""

    metrics: dict[str, dict[str, Any]]
    verdicts: dict[str, dict[str, Any]]
    problems: tuple[str, ...]


def read_evidence(store: Store, stage: str, *, stale: Collection[str] = ()) -> RunEvidence:
    """Read the evidence that `stage` wrote and the evidence that it was computed from.

    The stage's metrics hold a digest of every file that it read: a file of another run is a problem, not evidence.
    `stale` are stages that the last run did not reach.
    """
    if stage in stale:
        return RunEvidence({}, {}, (f"{stage} was not reached in this run",))
    try:
        metrics = {stage: store.read_metrics(stage)}
        load_verdict(store, stage)
    except (InputError, GateClosed) as error:
        return RunEvidence({}, {}, (str(error),))
    digests = metrics[stage].get("inputs")
    if digests is None:
        return RunEvidence({}, {}, (f"{stage} was written by an earlier version; run `dvc repro -f -s {stage}`",))
    problems = [
        f"data/{name} is missing or of another run than data/{stage}" for name in changed_evidence(store, digests)
    ]
    if problems:
        return RunEvidence({}, {}, tuple(problems))
    parts = [name.split("/") for name in digests]
    metrics |= {name: store.read_metrics(name) for name, file in parts if file == "metrics.json"}
    verdicts = {name: store.read_json(name, "verdict.json") for name, file in parts if file == "verdict.json"}
    return RunEvidence(metrics, verdicts | {stage: store.read_json(stage, "verdict.json")}, ())


def measured_latency(store: Store) -> dict[str, Any] | None:
    """Return the latency of each candidate as evaluate measured it on this machine, or None where it did not."""
    try:
        return dict(store.read_json("latency", "latency.json"))
    except InputError:
        return None


def gates_reached(store: Store, *, stale: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return every gate with its verdict as far as the run came: None from the first gate on that is not open."""
    reached: list[dict[str, Any]] = []
    stopped: str | None = None
    for stage in GATES:
        if stopped or stage in stale:
            reached.append({"stage": stage, "verdict": None, "reason": stopped or "not reached in this run"})
            continue
        status = gate_status(store, stage)
        known = status["digest"] is not None
        reached.append(
            {
                "stage": stage,
                "verdict": store.read_json(stage, "verdict.json") if known else None,
                "reason": None if known else status["reason"],
            }
        )
        if not status["open"]:
            stopped = f"not reached: gate {stage} is not open"
    return reached
