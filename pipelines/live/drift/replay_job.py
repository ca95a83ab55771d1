"""The replay command: read history, look back, write `replay.json`, `replay.html` and `replay.svg`."""

import logging
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.drift.params import DriftParams
from pipelines.live.drift.replay import as_rows, look_back, read_history, triggers
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
SIMULATED_WEEKS = 26  # what is added to the domain's window when no end is given


def replay(
    project: Project,
    *,
    source: str,
    start: date | None,
    end: date | None,
    weeks: int | None,
    every: str,
    shift_hours: float,
    time_column: str,
    columns: str | None,
    out: Path | None,
) -> dict[str, Any]:
    """Look back over history and say which days would have triggered."""
    import pandas as pd

    from pipelines.profile.profile import ProfileParams

    params = project.section("drift", DriftParams)
    freeze = ProfileParams.model_validate(project.parameters.section("promote")["profile"])
    if source == "simulated":
        frame, kinds, start, end = simulated(project, start=start, end=end)
    else:
        frame, kinds = stored(project, Path(source), time_column=time_column, columns=columns)
    frame[time_column] = pd.to_datetime(frame[time_column], utc=True) + pd.Timedelta(hours=shift_hours)
    start = start or frame[time_column].min().date()
    end = end or frame[time_column].max().date() + timedelta(days=1)
    require_days(start, end)
    n_weeks = weeks or params.alarm.most_weeks
    if (end - start).days < 7 * (n_weeks + 2):
        raise InputError(
            f"history from {start} to {end} has {(end - start).days // 7} weeks; {n_weeks} of reference and "
            "two live ones are needed: take a longer one or fewer --weeks"
        )
    history = read_history(frame, kinds=kinds, start=start, end=end, time_column=time_column)
    looks = look_back(
        history,
        start=start,
        end=end,
        n_weeks=n_weeks,
        every=7 if every == "week" else 1,
        bins=freeze.bins,
        most_categories=freeze.most_categories,
        params=params.alarm,
    )
    made = triggers(looks, params=params.decision)
    names = [column.name for column in history]
    content = {
        "source": source if source == "simulated" else Path(source).name,
        "start": start.isoformat(),
        "end": end.isoformat(),
        "weeks": n_weeks,
        "every": every,
        "columns": names,
        "limits": {"alert_excess": params.alarm.alert_excess, "breach_excess": params.alarm.breach_excess},
        "triggers": made,
        "minutes": sum(item["minutes"] for item in made),
        "looks": as_rows(looks, columns=names),
    }
    place = out or live_folder(project) / "drift" / "replay"
    write_atomic(place / "replay.json", to_json(content))
    write_atomic(place / "replay.svg", replay_chart(content).encode())
    write_atomic(place / "replay.html", replay_page(content).encode())
    for item in made:
        logger.info(
            "%s: %s on %s (%g minutes)", item["day"], item["action"], ", ".join(item["columns"]), item["minutes"]
        )
    return {
        "looks": len(looks),
        "alerts": sum(bool(look.alerts) for look in looks),
        "breaches": sum(bool(look.breaches) for look in looks),
        "triggers": made,
        "minutes": content["minutes"],
        "page": str(place / "replay.html"),
    }


def require_days(start: date, end: date) -> None:
    """InputError where the history holds no day."""
    if start >= end:
        raise InputError(f"history [{start}, {end}) is empty: start before end would be right")


def stored(
    project: Project, file: Path, *, time_column: str, columns: str | None
) -> "tuple[pd.DataFrame, dict[str, Kind]]":
    """Columns of a parquet file and their kinds, the domain's features where none are named."""
    import pandas as pd
    import pyarrow.parquet as pq
    from pandas.api.types import is_numeric_dtype

    from pipelines.records.domain import Domain

    try:
        there = pq.ParquetFile(file).schema_arrow.names
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not readable as parquet: {error}") from None
    features = [feature.name for feature in Domain(project.domain_folder).schema.features]
    wanted = columns.split(",") if columns else [name for name in (*features, "text_length") if name in there]
    missing = [name for name in (time_column, *wanted) if name not in there]
    if missing or not wanted:
        raise InputError(f"{file} has no column {', '.join(missing) or 'to watch'}; there are: {', '.join(there)}")
    frame = pd.read_parquet(file, columns=[time_column, *wanted])
    return frame, {name: "number" if is_numeric_dtype(frame[name]) else "category" for name in wanted}


def simulated(
    project: Project, *, start: date | None, end: date | None
) -> "tuple[pd.DataFrame, dict[str, Kind], date, date]":
    """Records of the domain's simulator, its drift set at the middle of what is added to the window."""
    import pandas as pd

    from pipelines.records.domain import Domain

    domain, window = Domain(project.domain_folder), project.parameters.section("ingest")
    first = start or date.fromisoformat(str(window["start"]))
    last = end or date.fromisoformat(str(window["end"])) + timedelta(weeks=SIMULATED_WEEKS)
    require_days(first, last)
    parameters = project.parameters.section("simulator")
    if parameters.get("drift_date") is None and "drift_date" in parameters:
        parameters["drift_date"] = (last - timedelta(weeks=SIMULATED_WEEKS // 2)).isoformat()
        logger.info("the simulated world moves on %s", parameters["drift_date"])
    frames = []
    for raw in domain.simulate(start=first, end=last, seed=project.resources.seed, **parameters):
        if len(raw):
            frames.append(domain.to_records(domain.normalize(raw)))
    records = pd.concat(frames, ignore_index=True)
    records["text_length"] = records["text"].str.len()
    kinds: dict[str, Kind] = {feature.name: feature.kind for feature in domain.schema.features}
    return records, kinds | {"text_length": "number"}, first, last
