"""Replay the drift watch over history, and write `replay.json`, `replay.html` and `replay.svg`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.drift.files import FOLDER
from pipelines.live.drift.params import DriftParams
from pipelines.live.drift.replay import Settings, as_rows, evaluate_history, read_history, triggers
from pipelines.monitoring.live_state import live_folder
from pipelines.reporting.drift_page import replay_chart, replay_page
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.stats.histogram import Kind

logger = logging.getLogger(__name__)

SIMULATED = "simulated"
SIMULATED_WEEKS = 26  # added to the domain's window when no end is given


@dataclass(frozen=True)
class Replay:
    """What to replay: a source of records, its UTC days [start, end), and how."""

    source: str = SIMULATED  # or a Parquet file
    start: date | None = None
    end: date | None = None
    weeks: int | None = None  # of reference; None: params.yaml
    every: str = "day"  # or "week"
    shift_hours: float = 0.0  # added to every time
    time_column: str = "received_at"
    columns: str | None = None  # separated by commas; None: the domain's features
    out: Path | None = None


def replay(project: Project, wanted: Replay) -> dict[str, Any]:
    """Evaluate history day by day, write the three files, and return the days that would have triggered.

    Raises InputError when history is shorter than the reference and two live weeks, or a column is missing.
    """
    from pipelines.profile.freeze import ProfileParams

    params = project.section("drift", DriftParams)
    freeze = ProfileParams.model_validate(project.parameters.section("promote").get("profile") or {})
    frame, kinds, wanted = read_source(project, wanted)
    start, end = wanted.start, wanted.end
    assert start is not None and end is not None
    n_weeks = wanted.weeks or params.alarm.max_weeks
    require_days(start, end, n_weeks=n_weeks)
    history = read_history(frame, kinds=kinds, start=start, end=end, time_column=wanted.time_column)
    settings = Settings(n_weeks=n_weeks, bins=freeze.bins, max_categories=freeze.max_categories, alarm=params.alarm)
    every = 7 if wanted.every == "week" else 1
    evaluations = evaluate_history(history, start=start, end=end, every=every, settings=settings)
    triggered = triggers(evaluations, params=params.decision)
    names = [column.name for column in history]
    content = {
        "source": wanted.source if wanted.source == SIMULATED else Path(wanted.source).name,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "weeks": n_weeks,
        "every": wanted.every,
        "columns": names,
        "limits": {"alert_excess": params.alarm.alert_excess, "breach_excess": params.alarm.breach_excess},
        "triggers": triggered,
        "minutes": sum(item["minutes"] for item in triggered),
        "evaluations": as_rows(evaluations, columns=names),
    }
    folder = wanted.out or live_folder(project) / FOLDER / "replay"
    write_atomic(folder / "replay.json", to_json(content))
    write_atomic(folder / "replay.svg", replay_chart(content).encode())
    write_atomic(folder / "replay.html", replay_page(content).encode())
    _log(triggered)
    return {
        "evaluations": len(evaluations),
        "alerts": sum(bool(evaluation.alerts) for evaluation in evaluations),
        "breaches": sum(bool(evaluation.breaches) for evaluation in evaluations),
        "triggers": triggered,
        "minutes": content["minutes"],
        "page": str(folder / "replay.html"),
    }


def _log(triggered: Sequence[dict[str, Any]]) -> None:
    for item in triggered:
        columns = ", ".join(item["columns"])
        logger.info("%s: %s on %s (%g minutes)", item["day"], item["action"], columns, item["minutes"])


def read_source(project: Project, wanted: Replay) -> tuple[pd.DataFrame, dict[str, Kind], Replay]:
    """Return the records of the source, the kinds of the columns to watch, and the replay with both days set."""
    import pandas as pd

    column, start, end = wanted.time_column, wanted.start, wanted.end
    if wanted.source == SIMULATED:
        frame, kinds, start, end = simulated(project, start=start, end=end)
    else:
        frame, kinds = stored(project, Path(wanted.source), time_column=column, columns=wanted.columns)
    frame[column] = pd.to_datetime(frame[column], utc=True) + pd.Timedelta(hours=wanted.shift_hours)
    start = start or frame[column].min().date()
    end = end or frame[column].max().date() + timedelta(days=1)
    return frame, kinds, replace(wanted, start=start, end=end)


def require_days(start: date, end: date, *, n_weeks: int = 0) -> None:
    """Raise InputError when history has no day, or fewer weeks than `n_weeks` of reference and two live ones."""
    if start >= end:
        raise InputError(f"history [{start}, {end}) is empty: expected start before end")
    if n_weeks and (end - start).days < 7 * (n_weeks + 2):
        raise InputError(
            f"history from {start} to {end} has {(end - start).days // 7} weeks; {n_weeks} of reference and "
            "two live ones are needed: choose a longer history or fewer --weeks"
        )


def stored(
    project: Project, file: Path, *, time_column: str, columns: str | None
) -> tuple[pd.DataFrame, dict[str, Kind]]:
    """Return columns of a Parquet file and their kinds; without named columns, the domain's features."""
    import pandas as pd
    import pyarrow.parquet as pq
    from pandas.api.types import is_numeric_dtype

    from pipelines.monitoring.predictions import feature_column
    from pipelines.records.domain import Domain

    try:
        present = pq.ParquetFile(file).schema_arrow.names
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not readable as parquet: {error}") from None
    features = Domain(project.domain_folder).schema.features
    known = [name for item in features for name in (item.name, feature_column(item))]  # of records, of predictions
    wanted = columns.split(",") if columns else [name for name in (*known, "text_length") if name in present]
    missing = [name for name in (time_column, *wanted) if name not in present]
    if missing or not wanted:
        raise InputError(
            f"{file} has no column {', '.join(missing) or 'to watch'}: expected some of {', '.join(present)}"
        )
    frame = pd.read_parquet(file, columns=[time_column, *wanted])
    return frame, {name: "number" if is_numeric_dtype(frame[name]) else "category" for name in wanted}


def simulated(
    project: Project, *, start: date | None, end: date | None
) -> tuple[pd.DataFrame, dict[str, Kind], date, date]:
    """Return records of the domain's simulator, with drift in the middle of what is added to the window."""
    import pandas as pd

    from pipelines.records.domain import Domain

    domain, window = Domain(project.domain_folder), project.parameters.section("ingest")
    first = start or date.fromisoformat(str(window["start"]))
    last = end or date.fromisoformat(str(window["end"])) + timedelta(weeks=SIMULATED_WEEKS)
    require_days(first, last)
    parameters = project.parameters.section("simulator")
    if parameters.get("drift_date") is None and "drift_date" in parameters:
        parameters["drift_date"] = (last - timedelta(weeks=SIMULATED_WEEKS // 2)).isoformat()
        logger.info("the simulated input drifts from %s", parameters["drift_date"])
    frames = []
    for raw in domain.simulate(start=first, end=last, seed=project.resources.seed, **parameters):
        if len(raw):
            frames.append(domain.to_records(domain.normalize(raw)))
    records = pd.concat(frames, ignore_index=True)
    records["text_length"] = records["text"].str.len()
    kinds: dict[str, Kind] = {feature.name: feature.kind for feature in domain.schema.features}
    return records, kinds | {"text_length": "number"}, first, last
