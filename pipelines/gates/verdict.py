"""Verdicts of gates: checks with values, intervals and limits, and the rule by which a gate is open or closed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "undecided"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Check:
    """One measured value against its limit; `outcome` follows from the interval and the number of rows."""

    name: str
    value: float | None
    interval: Interval | None
    side: Literal["at_least", "at_most", "between"]
    limit: float | Interval
    rows: int
    min_rows: int
    required: bool
    outcome: Outcome
    sentence: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def closes(self) -> bool:
        """Return whether this check alone closes its gate."""
        return self.outcome == "failed" or (self.outcome == "undecided" and self.required)

    @classmethod
    def at_least(cls, name: str, value: float | None, *, limit: float, **rest: Any) -> Check:
        """Return a check that the value and its whole interval are at or above `limit`."""
        return cls._decided(name, value, side="at_least", low=limit, high=math.inf, limit=limit, **rest)

    @classmethod
    def at_most(cls, name: str, value: float | None, *, limit: float, **rest: Any) -> Check:
        """Return a check that the value and its whole interval are at or below `limit`."""
        return cls._decided(name, value, side="at_most", low=-math.inf, high=limit, limit=limit, **rest)

    @classmethod
    def between(cls, name: str, value: float | None, *, limit: Interval, **rest: Any) -> Check:
        """Return a check that the value and its whole interval are within two limits."""
        return cls._decided(name, value, side="between", low=limit[0], high=limit[1], limit=limit, **rest)

    @classmethod
    def equals(cls, name: str, value: float | None, *, limit: float, **rest: Any) -> Check:
        """Return a check for exactly one value."""
        return cls.between(name, value, limit=(limit, limit), **rest)

    @classmethod
    def _decided(
        cls,
        name: str,
        value: float | None,
        *,
        side: Literal["at_least", "at_most", "between"],
        low: float,
        high: float,
        limit: float | Interval,
        rows: int,
        min_rows: int,
        required: bool,
        sentence: str,
        interval: Interval | None = None,
        undecided_passes_from: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> Check:
        defined = value is not None and not math.isnan(value)
        bounds = interval if interval is not None else (value, value) if defined else None
        if bounds is not None and any(bound is None or math.isnan(bound) for bound in bounds):
            bounds = None
        outcome: Outcome
        if not defined or bounds is None or rows < min_rows:
            outcome = "undecided"
        else:
            lower, upper = float(bounds[0]), float(bounds[1])  # type: ignore[arg-type]
            if lower >= low and upper <= high:
                outcome = "passed"
            elif upper < low or lower > high:
                outcome = "failed"
            elif undecided_passes_from is not None and rows >= undecided_passes_from:
                outcome = "passed"  # no evidence of harm, and enough rows to find it
            else:
                outcome = "undecided"
        if not defined and required and rows >= min_rows:
            outcome = "failed"  # more rows do not help an undefined metric: it closes the gate
        return cls(
            name=name,
            value=float(value) if defined and math.isfinite(value) else None,  # type: ignore[arg-type]
            interval=_finite(interval),
            side=side,
            limit=limit,
            rows=int(rows),
            min_rows=int(min_rows),
            required=required,
            outcome=outcome,
            sentence=sentence,
            details=details or {},
        )

    def describe(self) -> str:
        """Return the check in one line: name, outcome, value, interval, limit, rows and sentence."""
        value = "undefined" if self.value is None else f"{self.value:.4g}"
        span = "" if self.interval is None else f" [{_number(self.interval[0])}, {_number(self.interval[1])}]"
        if isinstance(self.limit, tuple):
            low, high = map(_number, self.limit)
            limit = f"exactly {low}" if low == high else f"{low} to {high}"
        else:
            limit = f"{self.side.replace('_', ' ')} {_number(self.limit)}"
        return (
            f"{self.name} {self.outcome}: {value}{span}, limit {limit}, {self.rows} rows (at least {self.min_rows}): "
            f"{self.sentence}"
        )


@dataclass(frozen=True)
class Verdict:
    """The checks of one gate; it is closed without checks, with a failed one, or with a required undecided one."""

    stage: str
    checks: tuple[Check, ...]
    shown_records: tuple[dict[str, Any], ...]
    overrides: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(
        cls,
        stage: str,
        checks: Iterable[Check],
        *,
        shown_records: Sequence[dict[str, Any]] = (),
        overrides: Sequence[dict[str, Any]] = (),
    ) -> Verdict:
        """Return a verdict of these checks; `shown_records` are a few examples. ValueError for two checks of one
        name.
        """
        checks = tuple(checks)
        names = [check.name for check in checks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"verdict of {stage!r}: two checks are named {name!r}")
        return cls(stage=stage, checks=checks, shown_records=tuple(shown_records), overrides=tuple(overrides))

    @property
    def passed(self) -> bool:
        """Return whether the gate is open."""
        return bool(self.checks) and not any(check.closes for check in self.checks)

    @property
    def closed_by(self) -> tuple[Check, ...]:
        """Return the checks that close the gate."""
        return tuple(check for check in self.checks if check.closes)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `verdict.json`, including the digest of everything else in it."""
        body: dict[str, Any] = {
            "stage": self.stage,
            "passed": self.passed,
            "checks": [_plain(asdict(check)) for check in self.checks],
            "shown_records": [_plain(record) for record in self.shown_records],
        }
        if self.overrides:
            body["overrides"] = [_plain(item) for item in self.overrides]
        body["digest"] = verdict_digest(body)
        return body


def verdict_digest(body: dict[str, Any]) -> str:
    """Return the sha256 of a verdict without its digest, in canonical JSON."""
    rest = {key: value for key, value in body.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def read_verdict(content: Any, *, stage: str) -> Verdict:
    """Return the verdict in `verdict.json`; ValueError for a missing key or a wrong digest or `passed`."""
    if not isinstance(content, dict) or content.get("stage") != stage:
        raise ValueError(f"it is not the verdict of {stage!r}")
    if content.get("digest") != verdict_digest(content):
        raise ValueError("its digest does not match its content: it was edited after the gate wrote it")
    try:
        checks = [_check(item) for item in content["checks"]]
        verdict = Verdict.of(
            stage, checks, shown_records=content["shown_records"], overrides=content.get("overrides", ())
        )
        if verdict.passed is not content["passed"]:
            raise ValueError("its `passed` does not follow from its checks")
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks {error}") from None
    return verdict


def _check(item: dict[str, Any]) -> Check:
    pairs = {key: tuple(item[key]) if isinstance(item[key], list) else item[key] for key in ("interval", "limit")}
    return Check(**{**item, **pairs})


def _number(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.4g}"


def _finite(interval: Interval | None) -> Interval | None:
    if interval is None:
        return None
    return tuple(float(bound) if bound is not None and math.isfinite(bound) else None for bound in interval)  # type: ignore[return-value]


def _plain(content: Any) -> Any:
    """Return JSON types only: numpy scalars unpacked, tuples as lists, NaN and infinity as null."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if hasattr(content, "item") and callable(content.item):
        content = content.item()
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if content is None or isinstance(content, str | int | float | bool):
        return content
    return str(content)
