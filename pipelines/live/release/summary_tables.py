"""What the summary of a run shows: the outputs it read, and the tables of rows, labels, gates and candidates."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.gates.status import find_override
from pipelines.gates.verdict import read_verdict
from pipelines.reporting.floors import floors_sentence
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import Store

GATES = ("ingest", "dedupe", "split", "label", "bias_gate", "evaluate", "promote")
SHOWN_REASONS = 5  # of rejected rows
SHOWN_CHECKS = 5  # of a closed gate that are described in full; verdict.json has all
MARKS = {"passed": "green", "failed": "red", "undecided": "yellow"}


class LastRun:
    """Reader of small JSON files of stages that are not stale; None for a file that is missing or broken."""

    def __init__(self, store: Store, stale: Collection[str]) -> None:
        self.store = store
        self.stale = stale

    def __call__(self, stage: str, name: str) -> Any:
        """Return the content of a JSON file of a stage, or None."""
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


def rows_table(read: LastRun) -> Table:
    """Return how many rows each stage read, kept and dropped, and why."""
    table = _plain_table("step", "rows", "what happened to the rest")
    ingest, dedupe, split = (read.metrics(name) for name in ("ingest", "dedupe", "split"))
    label = read.metrics("label")
    if ingest:
        rows = ingest["rows"]
        gone = [
            f"{_count(rows[key])} {key.replace('_', ' ')}" for key in sorted(rows) if key not in ("read", "accepted")
        ]
        hidden = sum(ingest.get("redacted", {}).values())
        table.add_row("read from the source", _count(rows["read"]), ingest.get("source", {}).get("description", ""))
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


def labels_line(read: LastRun) -> Text:
    """Return the quality of the weak labels in one line."""
    label = read.metrics("label")
    if not label:
        return Text("  no labels: stage label did not run")
    if label.get("kappa") is None:
        return Text(f"  {label['method'].replace('_', ' ')}; agreement with gold labels could not be measured")
    kappa = f"{label['kappa']:.3f} [{label['kappa_low']:.3f}, {label['kappa_high']:.3f}]"
    rows = _count(label["gold_rows_labeled"])
    method = label["method"].replace("_", " ")
    return Text(f"  {method}: {label['accuracy']:.1%} correct on {rows} gold rows, Cohen's kappa {kappa}")


def gates_table(read: LastRun) -> Group:
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


def candidates_table(read: LastRun) -> Table | None:
    """Return the scores of the candidates with their intervals, or None when nothing was evaluated."""
    metrics = read.metrics("evaluate")
    if not metrics:
        return None
    table = _plain_table("candidate", "macro-F1", "accuracy", "log loss", "macro-F1, anchor (fixed test set)", "")
    chosen = metrics["choice"]["candidate"]
    for name in (name for name in ("baseline", "finetune", "blend") if name in metrics):
        recent, anchor = metrics[name]["recent"], metrics[name]["anchor"]
        won = Text("chosen", style="green") if name == chosen else Text("")
        table.add_row(
            name,
            *(_estimate(recent, key) for key in ("macro_f1", "accuracy", "log_loss")),
            _estimate(anchor, "macro_f1"),
            won,
        )
    if reference := metrics.get("reference"):
        scores = (_estimate(reference[part], "macro_f1") for part in ("recent", "anchor"))
        recent, anchor = (Text(score, style="dim") for score in scores)
        accuracy = Text(_estimate(reference["recent"], "accuracy"), style="dim")
        table.add_row(Text(f"reference: {reference['name']}", style="dim"), recent, accuracy, "", anchor, "")
    table.caption = metrics["choice"]["why"]
    table.caption_justify = "left"
    return table


def reference_line(read: LastRun) -> Text:
    """Return what the candidates add to the reference; a warning unless they are shown to be better."""
    reference = (read.metrics("evaluate") or {}).get("reference")
    if not reference:
        return Text()
    if reference["lead"] == "proven":
        return Text(f"  {reference['sentence']}")
    style = "bold white on red" if reference["lead"] == "negative" else "bold yellow"
    return Text("  ").append("WARNING", style=style).append(f" {reference['sentence']}")


def floors_line(read: LastRun) -> Text:
    """Return a warning about scores without a limit and classes that are never found, if there are any."""
    metrics, verdict = read.metrics("evaluate"), read("evaluate", "verdict.json")
    if not metrics or not verdict:
        return Text()
    sentence = floors_sentence(metrics[metrics["choice"]["candidate"]], verdict["checks"])
    return Text("  ").append("WARNING", style="bold yellow").append(f" {sentence}") if sentence else Text()


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
