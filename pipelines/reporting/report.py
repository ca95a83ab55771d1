"""Rendering of HTML pages: templates, number formats and the geometry of charts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, *, values: dict[str, Any]) -> str:
    """Return the page that a template makes of values: everything is escaped, and equal values give equal bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "signed": signed,
        "thousands": thousands,
        "short": short_digest,
        "words": words,
    }
    environment.globals |= {"scale": Scale, "ticks": ticks}
    return environment.get_template(template).render(**values)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed digits; a dash for None, NaN and infinity."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def signed(value: float | None, digits: int = 3) -> str:
    """Return a difference with its sign (a true minus, so that columns align)."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def thousands(value: float | None) -> str:
    """Return a count with groups of three digits."""
    return "–" if value is None else f"{round(value):,}"


def short_digest(value: str | None, length: int = 12) -> str:
    """Return the first characters of a digest."""
    return "–" if not value else value[:length]


def words(name: str) -> str:
    """Return a name with spaces instead of underscores and a space after a colon."""
    return name.replace("_", " ").replace(":", ": ")


@dataclass(frozen=True)
class Scale:
    """A linear axis that maps `low..high` of the data to `start..end` of the drawing, clipped."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, rounded so that equal pages have equal bytes."""
        span = self.high - self.low
        share = 0.0 if span <= 0 else (min(max(value, self.low), self.high) - self.low) / span
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round values between two bounds (steps of 1, 2 or 5 times a power of ten)."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def axis_bounds(values: Sequence[float | None], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """Return bounds of an axis that contain every finite value and those in `include`, with a margin of 4 %."""
    finite = [float(v) for v in (*values, *include) if v is not None and math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.04 * (high - low or abs(high) or 1.0)
    return round(low - air, 4), round(high + air, 4)
