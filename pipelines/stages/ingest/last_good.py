"""What good input looked like: `python -m pipelines remember` after a run whose gate is open.

It writes the small file that `ingest.reference` names (kept in Git); the next run compares its volume, its columns and
every day that both have with it. Before the first good run the file holds `{}`: nothing to compare with yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.stages.ingest.checks import LastGood

DIGEST_CHARS = 12  # of a day's digest: enough to see a change, small enough for Git


def load_last_good(file: Path) -> LastGood:
    """Return the content of the reference file; InputError, with the command that writes it, if it cannot be read."""
    from pipelines.stages.ingest.checks import read_last_good

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{file} (ingest.reference) is missing; write `{{}}` to it before the first good run, "
            "`python -m pipelines remember` after one"
        ) from None
    except ValueError as error:
        raise InputError(f"{file} (ingest.reference) is not JSON: {error}; expected `{{}}` at first") from None
    return read_last_good(content)


def summary(per_day: pd.DataFrame, *, metrics: dict[str, Any], end: str) -> dict[str, Any]:
    """Return what the reference file holds of a run."""
    days = per_day.drop_duplicates("day")
    return {
        "end": end,
        "rows_per_week": metrics["rows_per_week"],
        "columns": sorted(metrics["null_share"]),
        "days": {
            day.date().isoformat(): digest[:DIGEST_CHARS]
            for day, digest in zip(days["day"], days["digest"], strict=True)
        },
    }
