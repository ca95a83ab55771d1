"""Read what a stage's gate found and put it into words and rows that a person sees in Airflow."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN_RECORDS = 3
SHOWN_LETTERS = 400  # of each text in a record
WIDTH = 100  # of a line that Airflow's log page shows whole, indented as it shows errors


@dataclass(frozen=True)
class Gate:
    """A verdict file: whether it passed, its checks, some of the records that made it close."""

    stage: str
    passed: bool
    content: Mapping[str, Any]
    overridden_by: str | None = None

    @classmethod
    def read(cls, workspace: Path, *, stage: str, verdict: str, overrides: str | None) -> Gate:
        """Read the verdict; a missing or unreadable one is closed. An override record of its digest lets it pass."""
        path = workspace / verdict
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            passed = content.get("passed") is True
        except (OSError, ValueError, AttributeError) as error:
            reason = f"{verdict} cannot be read ({error}): a gate without a verdict is closed"
            return cls(stage=stage, passed=False, content={"stage": stage, "checks": [], "reason": reason})
        digest = content.get("digest")
        for file in sorted((workspace / overrides).glob("*.json")) if overrides and digest and not passed else ():
            try:
                record = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(record, dict) and (record.get("stage"), record.get("verdict_digest")) == (stage, digest):
                return cls(stage=stage, passed=True, content=content, overridden_by=file.name)
        return cls(stage=stage, passed=passed, content=content)

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """Every check of the verdict that can be read."""
        found = self.content.get("checks")
        return [check for check in found if isinstance(check, dict)] if isinstance(found, list) else []

    @property
    def closed_by(self) -> list[Mapping[str, Any]]:
        """The checks that closed it: failed ones, and undecided ones that were required."""
        failed = [check for check in self.checks if check.get("outcome") == "failed"]
        undecided = [check for check in self.checks if check.get("outcome") == "undecided" and check.get("required")]
        return failed + undecided

    @property
    def shown_records(self) -> list[Any]:
        """A few of the records that made it close."""
        shown = self.content.get("shown_records")
        return [_shortened(record) for record in shown[:SHOWN_RECORDS]] if isinstance(shown, list) else []

    def headline(self) -> str:
        """One line: which check closed the gate, its value, limit and rows."""
        if self.passed and not self.overridden_by:
            return f"gate {self.stage} is open"
        if not self.closed_by:
            return f"gate {self.stage} is closed: {self.content.get('reason', 'no check was made')}"
        return f"gate {self.stage} is closed by " + "; ".join(_in_words(check) for check in self.closed_by)

    def reason(self) -> str:
        """Why it is closed, in lines that a log shows whole: the headline, each check's sentence, the records."""
        lines = [self.headline()]
        lines += [f"{check.get('name')}: {check['sentence']}" for check in self.closed_by if check.get("sentence")]
        lines += [f"record: {json.dumps(row, ensure_ascii=False, default=str)}" for row in self.shown_records]
        wrapped = [textwrap.wrap(line, WIDTH, subsequent_indent="    ") for line in lines]
        return "\n".join(part for parts in wrapped for part in parts)

    def evidence(self) -> dict[str, Any]:
        """What Airflow shows on the task's XCom page: the closing checks and the records, nothing else."""
        keys = ("name", "value", "interval", "side", "limit", "rows", "min_rows", "outcome", "sentence")
        checks = [{key: check[key] for key in keys if key in check} for check in self.closed_by]
        made = {"stage": self.stage, "summary": self.headline(), "checks": checks, "shown_records": self.shown_records}
        # No number that JSON does not know: Airflow would refuse it, and the gate would look like a fault.
        return dict(json.loads(json.dumps(made, default=str), parse_constant=str))

    def row(self) -> str:
        """One row of a table of gates: what came of it, and how its checks ended."""
        ends = [str(check.get("outcome")) for check in self.checks]
        counts = ", ".join(
            f"{ends.count(end)} {end}" for end in sorted(set(ends), key=lambda end: (end != "passed", end))
        )
        state = (
            f"closed, let pass by {self.overridden_by}" if self.overridden_by else "open" if self.passed else "closed"
        )
        return f"| {self.stage} | {state} | {len(ends)} | {counts} |"

    def page(self, *, records: bool = True) -> str:
        """The whole verdict as Markdown, for an approval page and, without the records, for a log."""
        lines = [self.headline(), "", "| check | value | limit | rows | outcome |", "|---|---|---|---|---|"]
        for check in sorted(self.checks, key=lambda check: check not in self.closed_by):
            cells = (
                check.get("name"),
                _number(check.get("value")),
                _limit(check),
                check.get("rows"),
                check.get("outcome"),
            )
            lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
        shown = self.shown_records if records else []
        lines += [f"- `{json.dumps(record, ensure_ascii=False, default=str)}`" for record in shown]
        return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _limit(check: Mapping[str, Any]) -> str:
    side = str(check.get("side") or "limit").replace("_", " ")
    return f"{side} {_number(check.get('limit'))}"


def _in_words(check: Mapping[str, Any]) -> str:
    words = f"{check.get('name')} = {_number(check.get('value'))}, {_limit(check)}, on {check.get('rows')} rows"
    return f"{words}: {check.get('outcome')}"


def _shortened(record: Any) -> Any:
    if isinstance(record, dict):
        return {name: _shortened(value) for name, value in record.items()}
    if isinstance(record, str) and len(record) > SHOWN_LETTERS:
        return record[:SHOWN_LETTERS] + " ..."
    return record
