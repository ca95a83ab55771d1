"""Days as they are given on a command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pipelines.runtime.errors import ParamsError


def day_of(argument: str) -> Callable[[str], date]:
    """Reads the UTC day of an argument, for argparse; ParamsError names argument and value where it is none."""

    def read(text: str) -> date:
        try:
            return date.fromisoformat(text)
        except ValueError:
            said = f"{argument} = {text!r} is no day" if text else f"{argument} is missing"
            raise ParamsError(f"{said}; one such as 2026-03-02 would be right") from None

    return read
