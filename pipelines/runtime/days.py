"""Days given on a command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pipelines.runtime.errors import ParamsError


def day_of(argument: str) -> Callable[[str], date]:
    """Return a parser of the UTC day of `argument`; it raises ParamsError with argument and value if it is invalid."""

    def read(text: str) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError:
            problem = f"invalid {argument} = {text!r}" if text else f"{argument} is missing"
            raise ParamsError(f"{problem}: expected a day such as 2026-03-02") from None

    return read
