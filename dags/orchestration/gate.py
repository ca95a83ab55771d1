"""Read what a stage's gate found and put it into words and rows that a person sees in Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN_RECORDS = 3


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
    def closed_by(self) -> list[Mapping[str, Any]]:
        """The checks that closed it: failed ones, and undecided ones that were required."""
        checks = [check for check in self.content.get("checks", []) if isinstance(check, dict)]
        failed = [check for check in checks if check.get("outcome") == "failed"]
        undecided = [check for check in checks if check.get("outcome") == "undecided" and check.get("required")]
        return failed + undecided

    @property
    def shown_records(self) -> list[Any]:
        """A few of the records that made it close."""
        shown = self.content.get("shown_records")
        return shown[:SHOWN_RECORDS] if isinstance(shown, list) else []

    def headline(self) -> str:
        """One line: which check closed the gate, its value, limit and rows."""
        if self.passed:
            return f"gate {self.stage} is open"
        if not self.closed_by:
            return f"gate {self.stage} is closed: {self.content.get('reason', 'no check was made')}"
        return f"gate {self.stage} is closed by " + "; ".join(_in_words(check) for check in self.closed_by)

    def evidence(self) -> dict[str, Any]:
        """What Airflow shows on the task's XCom page: the closing checks and the records, nothing else."""
        keys = ("name", "value", "interval", "side", "limit", "rows", "min_rows", "outcome", "sentence")
        checks = [{key: check[key] for key in keys if key in check} for check in self.closed_by]
        return {"stage": self.stage, "summary": self.headline(), "checks": checks, "shown_records": self.shown_records}

    def page(self) -> str:
        """The whole verdict as Markdown, for a log and for an approval page."""
        lines = [self.headline(), "", "| check | value | limit | rows | outcome |", "|---|---|---|---|---|"]
        for check in self.content.get("checks", []):
            cells = (
                check.get("name"),
                _number(check.get("value")),
                _limit(check),
                check.get("rows"),
                check.get("outcome"),
            )
            lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
        lines += [f"- `{json.dumps(record, ensure_ascii=False, default=str)}`" for record in self.shown_records]
        return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _limit(check: Mapping[str, Any]) -> str:
    side = str(check.get("side") or "limit").replace("_", " ")
    return f"{side} {_number(check.get('limit'))}"


def _in_words(check: Mapping[str, Any]) -> str:
    sentence = f" ({check['sentence']})" if check.get("sentence") else ""
    words = f"{check.get('name')} = {_number(check.get('value'))}, {_limit(check)}, on {check.get('rows')} rows"
    return f"{words}: {check.get('outcome')}{sentence}"
