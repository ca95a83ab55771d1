"""Remember what good input looked like: `python -m pipelines.stages.ingest.last_good` after a run whose gate is open.

It writes the small file that `ingest.reference` names (kept in Git); the next run compares its volume, its columns and
every day that both have with it. The first says `{}`: nothing to compare with but the window itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.stages.ingest.checks import LastGood

DIGEST_CHARS = 12  # of a day's digest: enough to see a change, small enough for Git


def load_last_good(file: Path) -> LastGood:
    """The reference file; InputError says how it is made when it is missing or broken."""
    from pipelines.stages.ingest.checks import read_last_good

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{file} (ingest.reference) is missing; `{{}}` is right before the first good run, "
            "`python -m pipelines.stages.ingest.last_good` writes it after one"
        ) from None
    except ValueError as error:
        raise InputError(f"{file} (ingest.reference) is not JSON: {error}; `{{}}` would be right at first") from None
    return read_last_good(content)


def summary(per_day: pd.DataFrame, *, metrics: dict[str, Any], end: str) -> dict[str, Any]:
    """What the reference file holds of a run."""
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


def main(project: Project) -> None:
    """Take the outputs of the last ingest as good; refused (GateClosed) while its gate is closed."""
    from pipelines.gates.status import require_open
    from pipelines.runtime import store
    from pipelines.runtime.params import load_params
    from pipelines.runtime.state import write_atomic
    from pipelines.stages.ingest.params import IngestParams

    require_open(project.store, "ingest")
    params = load_params("ingest", IngestParams)
    content = summary(
        store.read_records("ingest", name="per_day"),
        metrics=store.read_metrics("ingest"),
        end=params.end.isoformat(),
    )
    write_atomic(Path(params.reference), store.to_json(content))


if __name__ == "__main__":
    from pipelines.runtime.runner import run

    run("ingest", main)
