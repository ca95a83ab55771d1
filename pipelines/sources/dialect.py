"""The dialect of a CSV file: detected from its first lines unless parameters state it."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pipelines.runtime.errors import InputError

SAMPLE_LINES = 1000
DELIMITERS = (",", ";", "\t", "|", "\x01")
EXCEL = re.compile(r"sep=(.)\r?\n")  # a first line that spreadsheets write and read


@dataclass(frozen=True)
class Dialect:
    """How a line is split into cells; None in a parameter means: detect it."""

    delimiter: str | None = None
    quote: str | None = None  # "": quotes are plain characters
    escape: str | None = None  # "": a backslash is a plain character
    space: bool = False  # blanks after a delimiter belong to it

    @property
    def format(self) -> dict[str, Any]:
        """Return the arguments of csv.reader, which refuses what the dialect does not allow."""
        quoting = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        return {
            "delimiter": self.delimiter,
            "quotechar": self.quote or None,
            "escapechar": self.escape or None,
            "skipinitialspace": self.space,
            "quoting": quoting,
            "strict": True,
        }

    def to_dict(self) -> dict[str, str]:
        """Return what metrics.json reports."""
        return {"delimiter": str(self.delimiter), "quote": self.quote or "", "escape": self.escape or ""}


def detect(lines: Sequence[str], *, stated: Dialect, name: str) -> Dialect:
    """Return the dialect in which most rows have as many cells as the header, then the one with most cells; commas and
    double quotes if in doubt.
    """
    sample = lines[:SAMPLE_LINES]
    usual = Dialect(stated.delimiter or ",", '"' if stated.quote is None else stated.quote, stated.escape or "")
    try:
        cells, share = _score(sample, usual)
        if cells > 1 and share == 1.0 and not any(sign in sample[0] for sign in DELIMITERS if sign != usual.delimiter):
            return usual
        candidates = [
            Dialect(*values)
            for values in product(
                [stated.delimiter] if stated.delimiter else DELIMITERS,
                _quotes("".join(sample)) if stated.quote is None else [stated.quote],
                ["", "\\"] if stated.escape is None else [stated.escape],
                [False, True],
            )
        ]
        scores = [_score(sample, candidate) for candidate in candidates]
    except (TypeError, ValueError) as error:  # such as one character in two roles
        raise InputError(f"{name}: ingest.files.delimiter, quote and escape do not fit together: {error}") from error
    best = max(range(len(candidates)), key=lambda at: (scores[at][0] > 1, round(scores[at][1], 3), scores[at][0], -at))
    return candidates[best] if scores[best][0] > 1 else usual


def _quotes(text: str) -> list[str]:
    """Return the quotes that may be meant: single ones only where more cells begin with them than with double ones."""
    begins = {quote: len(re.findall(rf"(?:^|[,;\t|\x01]){quote}", text, re.MULTILINE)) for quote in ('"', "'")}
    return ['"', "'"] if begins["'"] > begins['"'] else ['"']


def _score(lines: Sequence[str], dialect: Dialect) -> tuple[int, float]:
    """Return the cells of the header and the share of rows that have as many and are well formed."""
    reader = csv.reader(lines, **dialect.format)
    cells, good, bad = 0, 0, 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return cells, good / max(good + bad, 1) if good or bad else float(cells > 0)
        except csv.Error:
            bad += 1
            continue
        if not any(cell.strip() for cell in row):
            continue
        if not cells:
            cells = len(row)
        elif len(row) == cells:
            good += 1
        else:
            bad += 1
