"""Raw rows of two domains, ordinary and odd, for tests that compare what training, scoring and serving make of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

import pandas as pd

from pipelines.records.domain import Domain

START, END = date(2025, 1, 6), date(2025, 3, 3)  # window of every row that has a usable date
ODD_TEXTS = (
    "Call me at (415) 555-0132,\r\nmy SSN is 123-45-6789 \x07",
    "cafe\u0301 took ${1,240.50} from me@x.org",
    "null\x00byte, tab\tand\u2028line separator\u0085 next",
    "\U0001f600 \u202eabc \u200b\u0301 emoji, right to left, zero width",
    "&lt;b&gt;entities&lt;/b&gt; &amp;amp; \ufeff",
    "   ",
    "\x01\x02",
    "",
    None,
    "word " * 5000,
    "card 4111 1111 1111 1111, account number GB29NWBK60161331926819, +49 (30) 1234 5678",
)
ODD_CELLS = (None, "", " ", "  padded ", "N/A", "caf\u00e9", "x" * 600, "0", "-1.5", "\x00")
ODD_DATES = ("2025-01-20", "01/20/2025", "2025-01-20T10:11:12", "2025-01-20T10:11:12Z", "20.01.2025", "soon", "", None)


def complaint_rows(domain: Domain, *, rows: int, seed: int, simulator: dict[str, Any]) -> list[dict[str, Any]]:
    """Return raw rows of the complaints stream, every third with odd cells, columns or headers."""
    days = pd.concat(list(domain.simulate(start=START, end=END, seed=seed, **simulator)))
    clean = days.astype(object).where(days.notna(), None).head(rows).to_dict("records")
    keys = {"date": "Date received", "text": "Consumer complaint narrative", "id": "Complaint ID"}
    return [dict(row) for row in _odd(clean, keys=keys, seed=seed)]


def comment_rows(*, rows: int, seed: int) -> list[dict[str, Any]]:
    """Return raw rows of the YouTube domain, every third with odd cells, columns or headers."""
    random = Random(seed)
    words = ["check", "out", "my", "channel", "love", "this", "song", "subscribe", "best", "FREE", "http://a.b"]
    clean = [
        {
            "COMMENT_ID": f"z{seed}-{number}",
            "AUTHOR": random.choice(["Ann", "Bob", None]),
            "DATE": (START + timedelta(days=number % 50)).isoformat() + "T06:20:48",
            "CONTENT": " ".join(random.choices(words, k=random.randint(1, 12))),
            "CLASS": random.choice(["0", "1", None]),
        }
        for number in range(rows)
    ]
    return list(_odd(clean, keys={"date": "DATE", "text": "CONTENT", "id": "COMMENT_ID"}, seed=seed))


def by_columns(rows: list[dict[str, Any]], *, at_most: int) -> Iterator[list[dict[str, Any]]]:
    """Yield neighboring rows of equal columns together, at most `at_most` of them: one request, or one chunk."""
    waiting: list[dict[str, Any]] = []
    for row in rows:
        if waiting and (len(waiting) == at_most or list(row) != list(waiting[0])):
            yield waiting
            waiting = []
        waiting.append(row)
    if waiting:
        yield waiting


def _odd(rows: list[dict[str, Any]], *, keys: dict[str, str], seed: int) -> Iterator[dict[str, Any]]:
    """Change every third row; other headers and missing columns come in blocks, as in files of their own."""
    random = Random(seed)
    optional = [name for name in rows[0] if name not in keys.values() and name not in ("AUTHOR", "Product")]
    for number, row in enumerate(rows):
        if number % 3 == 0:
            row = {**row, keys["text"]: random.choice(ODD_TEXTS)}
            row[random.choice(optional)] = random.choice(ODD_CELLS)
        if number % 7 == 0:
            row = {**row, keys["date"]: random.choice(ODD_DATES)}
        if number % 31 == 0:
            row = {**row, keys["id"]: random.choice([None, "", "  ", f" {row[keys['id']]} ", "\x00"])}
        block = number // 40 % 5
        if block == 1:  # headers with white space around them
            row = {f" {name} ": value for name, value in row.items()}
        elif block == 2:  # a column less
            row = {name: value for name, value in row.items() if name != optional[-1]}
        elif block == 3:  # a column more
            row = {**row, "Unknown column": random.choice(ODD_CELLS)}
        elif block == 4 and "Complaint ID" in row:  # header style of the complaint database's API
            row = {name.lower().replace(" ", "_").replace("-", "_"): value for name, value in row.items()}
        yield row
