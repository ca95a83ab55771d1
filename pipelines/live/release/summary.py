"""Summary of a run at a terminal: rows, label quality, gates, candidates, the decision, and where the results are."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.live.release.summary_tables import (
    GATES,
    LastRun,
    candidates_table,
    floors_line,
    gates_table,
    labels_line,
    reference_line,
    rows_table,
)
from pipelines.runtime.store import Store

STAGES = ("source", "ingest", "dedupe", "split", "label", "bias_gate", "baseline", "finetune", "evaluate", "promote")
OUTCOMES = {
    "release": ("released", "green"),
    "keep": ("kept: the champion stays", "yellow"),
    "refuse": ("refused", "red"),
    "challenge": ("challenger: it answers a share of the traffic, and its canary decides", "yellow"),
    "stop": ("stopped before the release: nothing was registered, the champion is untouched", "red"),
    None: ("stopped", "red"),
}


def show_summary(
    store: Store,
    *,
    outcome: dict[str, Any] | None,
    seconds: float | None,
    stale: Collection[str] = (),
    replayed: bool = False,
) -> None:
    """Print the summary of the outputs in `store`, except those of `stale` stages, which the last run did not reach.

    `replayed`: the run took its recorded input, and its source was not read.
    """
    console = Console(highlight=False, soft_wrap=False)
    read = LastRun(store, stale)
    console.print()
    console.rule("[bold]Rows", align="left", style="dim")
    console.print(rows_table(read))
    if replayed:
        console.print("  recorded input: the source was not reached (PERENNIAL_REPLAY)")
    console.rule("[bold]Label quality", align="left", style="dim")
    console.print(labels_line(read))
    console.rule("[bold]Gates", align="left", style="dim")
    console.print(gates_table(read))
    if (scores := candidates_table(read)) is not None:
        console.rule("[bold]Candidates, on gold labels that no training used", align="left", style="dim")
        console.print(scores)
        console.print(reference_line(read))
        if line := floors_line(read):
            console.print(line)
    console.rule("[bold]Decision", align="left", style="dim")
    console.print(_decision(read, outcome))
    console.rule("[bold]Results", align="left", style="dim")
    console.print(_places(read, seconds))


def show_history(moves: list[dict[str, Any]]) -> None:
    """Print the moves of the champion alias, oldest first."""
    table = Table(box=SIMPLE_HEAD)
    for name in ("when (UTC)", "who", "action", "from", "to", "why"):
        table.add_column(name, no_wrap=name != "why")
    for move in moves:
        old = "none" if move["from"] is None else str(move["from"])
        when = datetime.fromisoformat(move["when"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(when, move["who"], move["action"], old, str(move["to"]), Text(move["why"]))
    Console(highlight=False).print(table if moves else "No version has been champion yet.")


def closed_gates(store: Store, *, stale: Collection[str] = ()) -> list[str]:
    """Return the gates whose verdict is closed and not overridden: no stage after them starts."""
    read = LastRun(store, stale)
    found = {name: verdict for name in GATES if (verdict := read(name, "verdict.json")) is not None}
    return [name for name, verdict in found.items() if not verdict["passed"] and not read.override(name, verdict)]


def _decision(read: LastRun, outcome: dict[str, Any] | None) -> Text:
    decision = read("promote", "decision.json") if outcome else None
    words, style = OUTCOMES[outcome["action"] if outcome else None]
    text = Text("  ")
    text.append(words, style=f"bold {style}")
    if outcome and outcome["action"] == "release":
        moved = "is champion now" if outcome.get("moved") else "was champion already"
        text.append(f"   version {outcome['version']} {moved}")
        for name, figure in (outcome.get("preflight") or {}).get("figures", {}).items():
            text.append(
                f"\n  pre-flight, {name}: p50 {figure['p50_ms']:.0f} ms, p95 {figure['p95_ms']:.0f} ms, "
                f"p99 {figure['p99_ms']:.0f} ms, {figure['records_per_second']:.0f} records/s"
            )
    if outcome and outcome["action"] == "stop":
        text.append(f"\n  {outcome['reason']}")
    elif decision:
        text.append(f"\n  {decision['reason']}")
    elif not outcome and (closed := closed_gates(read.store, stale=read.stale)):
        text.append(f"   gate {', '.join(closed)} is closed; nothing was released, the champion is untouched")
    elif not outcome:
        text.append("   a stage failed, see its message above; nothing was released")
    return text


def _places(read: LastRun, seconds: float | None) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for what, stage, page in (
        ("model card", "evaluate", "model_card.html"),
        ("data report", "bias_gate", "data_report.html"),
    ):
        if stage not in read.stale and (read.store.folder / "pages" / page).exists():
            table.add_row(what, f"data/pages/{page}")
    table.add_row("every number", _numbers(read))
    table.add_row("history", "make history   (undo: make rollback REASON=...)")
    table.add_row("training curves and versions", "make mlflow   then http://127.0.0.1:5000")
    if seconds is not None:
        table.add_row("took", f"{seconds:.0f} s")
    return table


def _numbers(read: LastRun) -> str:
    """Return the command that shows the metrics of this run: of the stages it reached, if it stopped early."""
    if not read.stale:
        return "dvc metrics show; dvc plots show; dvc params diff"
    reached = [name for name in STAGES if name not in read.stale and read(name, "metrics.json") is not None]
    if not reached:
        return "none: no stage finished; metrics below data/ are those of an earlier run"
    files = " ".join(f"data/{name}/metrics.json" for name in reached)
    return f"dvc metrics show {files}   (other stages show an earlier run)"
