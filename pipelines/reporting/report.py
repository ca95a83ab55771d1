"""Pages in one visual language: the templates, the number formats and the geometry that the HTML reports share."""

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
    """A number with fixed digits; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign (a true minus, so that columns line up)."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def thousands(value: float | None) -> str:
    """A count with thin groups of three."""
    return "–" if value is None else f"{round(value):,}"


def short_digest(value: str | None, length: int = 12) -> str:
    """The first characters of a digest."""
    return "–" if not value else value[:length]


def words(name: str) -> str:
    """A name as people read it: underscores become spaces, a colon gets one."""
    return name.replace("_", " ").replace(":", ": ")


@dataclass(frozen=True)
class Scale:
    """A linear axis: `low..high` of the data onto `start..end` of the drawing, clipped to it."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value stands, rounded so that the same page has the same bytes."""
        span = self.high - self.low
        share = 0.0 if span <= 0 else (min(max(value, self.low), self.high) - self.low) / span
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two bounds, about as many as asked (steps of 1, 2 or 5 times a power of ten)."""
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
    """An axis that holds every finite value, the wanted ones too, with a little air; clipped to nothing."""
    finite = [float(v) for v in (*values, *include) if v is not None and math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    air = 0.04 * (high - low or abs(high) or 1.0)
    return round(low - air, 4), round(high + air, 4)
