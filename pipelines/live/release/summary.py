"""Summary of a run at a terminal: rows, label quality, gates, candidates, the decision, and where the results are."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.gates.status import find_override
from pipelines.gates.verdict import read_verdict
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import Store

GATES = ("ingest", "dedupe", "split", "label", "bias_gate", "evaluate", "promote")
STAGES = ("ingest", "dedupe", "split", "label", "bias_gate", "baseline", "finetune", "evaluate", "promote")
SHOWN_REASONS = 5  # of rejected rows
SHOWN_CHECKS = 5  # of a closed gate that are described in full; verdict.json has all
MARKS = {"passed": "green", "failed": "red", "undecided": "yellow"}
OUTCOMES = {
    "release": ("released", "green"),
    "keep": ("kept: the champion stays", "yellow"),
    "refuse": ("refused", "red"),
    "challenge": ("challenger: it answers a share of the traffic, and its canary decides", "yellow"),
    "stop": ("stopped before the release: nothing was registered, the champion is untouched", "red"),
    None: ("stopped", "red"),
}


def show_summary(
    store: Store, *, outcome: dict[str, Any] | None, seconds: float | None, stale: Collection[str] = ()
) -> None:
    """Print the summary of the outputs in `store`, except those of `stale` stages, which the last run did not reach."""
    console = Console(highlight=False, soft_wrap=False)
    read = _Evidence(store, stale)
    console.print()
    console.rule("[bold]Rows", align="left", style="dim")
    console.print(_rows(read))
    console.rule("[bold]Label quality", align="left", style="dim")
    console.print(_labels(read))
    console.rule("[bold]Gates", align="left", style="dim")
    console.print(_gates(read))
    if (scores := _candidates(read)) is not None:
        console.rule("[bold]Candidates, on gold labels that no training used", align="left", style="dim")
        console.print(scores)
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
    read = _Evidence(store, stale)
    found = {name: verdict for name in GATES if (verdict := read(name, "verdict.json")) is not None}
    return [name for name, verdict in found.items() if not verdict["passed"] and not read.override(name, verdict)]


def _rows(read: _Evidence) -> Table:
    table = _plain_table("step", "rows", "what happened to the rest")
    ingest, dedupe, split = (read.metrics(name) for name in ("ingest", "dedupe", "split"))
    label = read.metrics("label")
    if ingest:
        rows = ingest["rows"]
        gone = [
            f"{_count(rows[key])} {key.replace('_', ' ')}" for key in sorted(rows) if key not in ("read", "accepted")
        ]
        hidden = sum(ingest.get("redacted", {}).values())
        table.add_row("read from the source", _count(rows["read"]), "")
        table.add_row(
            "accepted", _count(rows["accepted"]), f"{', '.join(gone)}; {_count(hidden)} personal details redacted"
        )
        for count, cause in _rejections(ingest.get("reasons", {})):
            table.add_row(Text("  rejected", style="dim"), Text(_count(count), style="dim"), Text(cause))
    if dedupe:
        gone = [f"{_count(count)} {reason}" for reason, count in sorted(dedupe["dropped"].items())]
        table.add_row("without duplicates", _count(dedupe["kept"]), f"{' and '.join(gone)} duplicates dropped")
    if split:
        gone = [f"{_count(count)} {reason.replace('_', ' ')}" for reason, count in sorted(split["discarded"].items())]
        parts = ", ".join(f"{_count(count)} {part}" for part, count in split["parts"].items())
        table.add_row(
            "split by time", _count(sum(split["parts"].values())), f"{parts}; left out: {', '.join(gone) or 'none'}"
        )
    if label:
        table.add_row("with a weak label", _count(label["labeled"]), f"coverage {label['coverage']:.1%}")
    return table


def _rejections(reasons: dict[str, int]) -> list[tuple[int, str]]:
    """Return (rows, cause) of rejected rows, the most frequent first, with rare causes summed up in one line."""
    causes = sorted(
        ((n, cause.removeprefix("rejected: ")) for cause, n in reasons.items() if cause.startswith("rejected: ")),
        key=lambda found: (-found[0], found[1]),
    )
    shown, rest = causes[:SHOWN_REASONS], causes[SHOWN_REASONS:]
    if rest:
        shown.append((sum(n for n, _ in rest), f"for {len(rest)} more reasons, in data/ingest/metrics.json"))
    return shown


def _labels(read: _Evidence) -> Text:
    label = read.metrics("label")
    if not label:
        return Text("  no labels: stage label did not run")
    if label.get("kappa") is None:
        return Text(f"  {label['method'].replace('_', ' ')}; agreement with gold labels could not be measured")
    kappa = f"{label['kappa']:.3f} [{label['kappa_low']:.3f}, {label['kappa_high']:.3f}]"
    rows = _count(label["gold_rows_labeled"])
    method = label["method"].replace("_", " ")
    return Text(f"  {method}: {label['accuracy']:.1%} correct on {rows} gold rows, Cohen's kappa {kappa}")


def _gates(read: _Evidence) -> Group:
    """Return the verdict of every gate, followed by the checks that close each closed one."""
    table = _plain_table("gate", "verdict", "checks")
    reasons: list[Padding] = []
    for name in GATES:
        content = read(name, "verdict.json")
        if content is None:
            table.add_row(name, Text("not reached", style="dim"), "")
            continue
        counts = {mark: sum(check["outcome"] == mark for check in content["checks"]) for mark in MARKS}
        line = Text(", ".join(f"{count} {mark}" for mark, count in counts.items() if count))
        status = Text("open", style="green")
        if not content["passed"]:
            record = read.override(name, content)
            status = Text("overridden", style="yellow") if record else Text("closed", style="bold red")
            reasons += _why_closed(name, content, record=record)
        table.add_row(name, status, line)
    return Group(table, *reasons)


def _why_closed(name: str, content: dict[str, Any], *, record: dict[str, Any] | None) -> list[Padding]:
    """Return who overrode a closed gate, and the checks that close it: value, limit, rows; the first ones in full."""
    try:
        closing = read_verdict(content, stage=name).closed_by
    except ValueError as error:
        return [Padding(Text(f"{name}: data/{name}/verdict.json cannot be trusted: {error}"), (0, 0, 0, 2))]
    lines = [check.describe() for check in closing[:SHOWN_CHECKS]] or ["no check was made"]
    if rest := [check.name for check in closing[SHOWN_CHECKS:]]:
        lines.append(f"and {len(rest)} more, in data/{name}/verdict.json: {', '.join(rest)}")
    head = f"{name} is closed by"
    if record:
        head = f"{name}: overridden by {record['who']} on {record['when'][:10]}: {record['why']}. It was closed by"
    return [Padding(Text(head), (0, 0, 0, 2)), *(Padding(Text(line), (0, 0, 0, 4)) for line in lines)]


def _candidates(read: _Evidence) -> Table | None:
    metrics = read.metrics("evaluate")
    if not metrics:
        return None
    table = _plain_table("candidate", "macro-F1", "accuracy", "log loss", "macro-F1, anchor (fixed test set)", "")
    chosen = metrics["choice"]["candidate"]
    for name in ("baseline", "finetune"):
        recent, anchor = metrics[name]["recent"], metrics[name]["anchor"]
        won = Text("chosen", style="green") if name == chosen else Text("")
        table.add_row(
            name,
            *(_estimate(recent, key) for key in ("macro_f1", "accuracy", "log_loss")),
            _estimate(anchor, "macro_f1"),
            won,
        )
    table.caption = metrics["choice"]["why"]
    table.caption_justify = "left"
    return table


def _decision(read: _Evidence, outcome: dict[str, Any] | None) -> Text:
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


def _places(read: _Evidence, seconds: float | None) -> Table:
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


def _numbers(read: _Evidence) -> str:
    """Return the command that shows the metrics of this run: of the stages it reached, if it stopped early."""
    if not read.stale:
        return "dvc metrics show; dvc plots show; dvc params diff"
    reached = [name for name in STAGES if name not in read.stale and read(name, "metrics.json") is not None]
    if not reached:
        return "none: no stage finished; metrics below data/ are those of an earlier run"
    files = " ".join(f"data/{name}/metrics.json" for name in reached)
    return f"dvc metrics show {files}   (other stages show an earlier run)"


def _plain_table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=True)
    for column in columns:
        table.add_column(column, justify="right" if column == "rows" else "left", overflow="fold")
    return table


def _estimate(scores: dict[str, Any], name: str) -> str:
    """Return a metric with its interval as text."""
    if scores.get(name) is None:
        return "-"
    lower, upper = scores.get(f"{name}_lower"), scores.get(f"{name}_upper")
    bounds = "" if lower is None or upper is None else f" [{lower:.3f}, {upper:.3f}]"
    return f"{scores[name]:.3f}{bounds}"


def _count(number: float) -> str:
    return f"{int(number):,}"


class _Evidence:
    """Reader of small JSON files of stages that are not stale; None for a file that is missing or broken."""

    def __init__(self, store: Store, stale: Collection[str]) -> None:
        self.store = store
        self.stale = stale

    def __call__(self, stage: str, name: str) -> Any:
        if stage in self.stale:
            return None
        try:
            return json.loads((self.store.folder / stage / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def override(self, stage: str, verdict: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record that overrides exactly this closed verdict, or None if no valid record exists."""
        try:
            return find_override(self.store, stage, str(verdict.get("digest")))
        except GateClosed:
            return None

    def metrics(self, stage: str) -> Any:
        """Return everything that a stage measured."""
        content = self(stage, "metrics.json")
        return content["details"][0] if content and "details" in content else None
