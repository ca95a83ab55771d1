"""Show what a stage's gate found to the people who read Airflow's pages; whether it is open, its command decides."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .command import read_object
from .constants import LINE_WIDTH, SHOWN_LETTERS, SHOWN_RECORDS
from .workspace import Workspace


@dataclass(frozen=True)
class Gate:
    """The answer of a gate command, and the verdict file with its checks and records."""

    stage: str
    is_open: bool
    content: Mapping[str, Any] = field(default_factory=dict)  # of the verdict file; empty when it cannot be read
    override: Mapping[str, Any] | None = None  # the record that opens a closed gate
    why: str | None = None  # the command's own reason for a closed gate

    @classmethod
    def read(cls, workspace: Workspace, *, stage: str, verdict: str, command: Sequence[str]) -> Gate:
        """Ask `command STAGE` whether the gate is open; its result has `open`, `override` and `reason`.

        Raises WorkspaceError when the command fails or gives no answer.
        """
        answer = workspace.shell.result_of([*command, stage])
        return cls(
            stage=stage,
            is_open=answer.get("open") is True,
            content=read_object(workspace.path / verdict) or {},
            override=answer.get("override"),
            why=answer.get("reason"),
        )

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """Every check of the verdict that can be read."""
        found = self.content.get("checks")
        return [check for check in found if isinstance(check, dict)] if isinstance(found, list) else []

    @property
    def closed_by(self) -> list[Mapping[str, Any]]:
        """The checks that closed it: failed ones, and undecided ones that are required."""
        failed = [check for check in self.checks if check.get("outcome") == "failed"]
        undecided = [check for check in self.checks if check.get("outcome") == "undecided" and check.get("required")]
        return failed + undecided

    @property
    def shown_records(self) -> list[Any]:
        """A few of the records that made it close."""
        shown = self.content.get("shown_records")
        return [_shortened(record) for record in shown[:SHOWN_RECORDS]] if isinstance(shown, list) else []

    def headline(self) -> str:
        """Return one line: which check closed the gate, its value, limit and rows."""
        if self.is_open and not self.override:
            return f"gate {self.stage} is open"
        if not self.closed_by:
            reason = (self.why or "no check was made").splitlines()
            return f"gate {self.stage} is closed: {reason[0]}"
        return f"gate {self.stage} is closed by " + "; ".join(_summary(check) for check in self.closed_by)

    def reason(self) -> str:
        """Return why it is closed, in lines that a log shows whole: the headline, each check's sentence, records."""
        lines = [self.headline()]
        if not self.closed_by:
            lines += (self.why or "").splitlines()[1:]
        lines += [f"{check.get('name')}: {check['sentence']}" for check in self.closed_by if check.get("sentence")]
        lines += [f"record: {json.dumps(row, ensure_ascii=False, default=str)}" for row in self.shown_records]
        wrapped = [textwrap.wrap(line, LINE_WIDTH, subsequent_indent="    ") for line in lines]
        return "\n".join(part for parts in wrapped for part in parts)

    def evidence(self) -> dict[str, Any]:
        """Return what Airflow shows on the task's XCom page: the closing checks and the records."""
        keys = ("name", "value", "interval", "side", "limit", "rows", "min_rows", "outcome", "sentence")
        checks = [{key: check[key] for key in keys if key in check} for check in self.closed_by]
        made = {"stage": self.stage, "summary": self.headline(), "checks": checks, "shown_records": self.shown_records}
        # No NaN or infinity: Airflow would refuse them, and the closed gate would look like a fault.
        return dict(json.loads(json.dumps(made, default=str), parse_constant=str))

    @property
    def tightest(self) -> tuple[float, Mapping[str, Any]]:
        """The check nearest to its limit, and how far from it in parts of the limit; below 0 where it is not passed."""
        return min(((_margin(check), check) for check in self.checks), key=lambda pair: pair[0], default=(-1.0, {}))

    def row(self) -> str:
        """Return one row of a table of gates: open or closed, and how many checks had each outcome."""
        ends = [str(check.get("outcome")) for check in self.checks]
        order = sorted(set(ends), key=lambda end: (end != "passed", end))
        counts = ", ".join(f"{ends.count(end)} {end}" for end in order)
        state = f"closed, overridden by {self.overridden_by}" if self.override else "open" if self.is_open else "closed"
        return f"| {self.stage} | {state} | {len(ends)} | {counts} |"

    @property
    def overridden_by(self) -> str:
        """Who overrode the closed gate, and why."""
        record = self.override or {}
        return _cell(f"{record.get('who')} ({record.get('why')})")

    def page(self, *, records: bool = True) -> str:
        """Return the whole verdict as Markdown, for an approval page and, without the records, for a log."""
        lines = [self.headline(), "", "| check | value | limit | rows | outcome |", "|---|---|---|---|---|"]
        for check in sorted(self.checks, key=lambda check: check not in self.closed_by):
            cells = [check.get("name"), number(check.get("value")), _limit(check)]
            cells += [check.get("rows"), check.get("outcome")]
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        shown = self.shown_records if records else []
        lines += [f"- `{json.dumps(record, ensure_ascii=False, default=str)}`" for record in shown]
        return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|")


def number(value: Any) -> str:
    """Return a number with four digits, and any other value as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _limit(check: Mapping[str, Any]) -> str:
    side = str(check.get("side") or "limit").replace("_", " ")
    return f"{side} {number(check.get('limit'))}"


def _margin(check: Mapping[str, Any]) -> float:
    """Return the distance of a check's value from its nearest limit, in parts of that limit; -1 unless it passed."""
    value, limits = check.get("value"), check.get("limit")
    if check.get("outcome") != "passed":
        return -1.0
    limits = [limit for limit in (limits if isinstance(limits, list) else [limits]) if isinstance(limit, int | float)]
    if not isinstance(value, int | float) or not limits or len(set(limits)) < len(limits):
        return math.inf  # without a number, or with one allowed value, nothing is near a limit
    return min(abs(float(value) - float(limit)) / max(abs(float(limit)), 1e-9) for limit in limits)


def worst_gates(gates: Sequence[Gate], *, shown: int = 3) -> str:
    """Return a table of the gates that are overridden, closed or nearest to their limits, with the check."""
    lines = ["| nearest to its limit | check | value | limit | rows | outcome |", "|---|---|---|---|---|---|"]
    order = sorted(gates, key=lambda gate: (gate.is_open and not gate.override, gate.tightest[0]))
    for gate in order[:shown]:
        check = gate.tightest[1]
        cells = [gate.stage, check.get("name"), number(check.get("value")), _limit(check)]
        cells += [check.get("rows"), check.get("outcome")]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _summary(check: Mapping[str, Any]) -> str:
    facts = f"{check.get('name')} = {number(check.get('value'))}, {_limit(check)}, on {check.get('rows')} rows"
    return f"{facts}: {check.get('outcome')}"


def _shortened(record: Any) -> Any:
    if isinstance(record, dict):
        return {name: _shortened(value) for name, value in record.items()}
    if isinstance(record, str) and len(record) > SHOWN_LETTERS:
        return record[:SHOWN_LETTERS] + " ..."
    return record
