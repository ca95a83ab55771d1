"""Score a window with a registered version: `python -m pipelines.live.score --start DAY --end DAY [--model-version N]`.

With `--labels-as-of DAY` it writes, instead, the gold labels of the window's records that had arrived by that day. With
`--export`, and no window, it exports the version's network to a faster form and puts that through its parity gate.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.days import day_of
from pipelines.runtime.errors import InputError, PerennialError

if TYPE_CHECKING:
    from pipelines.models.encoder import Vectors

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Score or label one window; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="score: %(message)s", force=True)
    parser = argparse.ArgumentParser(prog="python -m pipelines.live.score", description=__doc__)
    parser.add_argument("--start", type=day_of("START"), help="first UTC day")
    parser.add_argument("--end", type=day_of("END"), help="day after the last")
    parser.add_argument("--now", type=day_of("NOW"), help="today; default: by the clock, in UTC")
    parser.add_argument("--export", action="store_true", help="export the version's network, and judge the export")
    parser.add_argument("--int8", action="store_true", help="export with matrices in bytes; the same gate")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model-version", type=int, help="registered version; default: the champion")
    which.add_argument("--champion", action="store_true", help="the champion, said aloud")
    parser.add_argument("--labels-as-of", type=day_of("LABELS_AS_OF"), help="write late labels instead of predictions")
    try:
        given = parser.parse_args(arguments)
        if not given.export and not (given.start and given.end):
            parser.error("--start and --end are needed, or --export")
        if given.export:
            answer = export(version=given.model_version, int8=given.int8)
        else:
            require_window(start=given.start, end=given.end, today=given.now or datetime.now(UTC).date())
            answer = (
                late_labels(start=given.start, end=given.end, as_of=given.labels_as_of)
                if given.labels_as_of
                else score_window(start=given.start, end=given.end, version=given.model_version)
            )
    except PerennialError as error:
        sys.stderr.write(f"score: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer, indent=2, sort_keys=True) + "\n")
    return 0


def require_window(*, start: date, end: date, today: date) -> None:
    """InputError where the window holds no day, or days that have not begun."""
    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: start before end would be right")
    if end > today + timedelta(days=1):
        raise InputError(f"window [{start}, {end}) ends in the future: it is {today}, so --end {today} or before")


def score_window(*, start: date, end: date, version: int | None) -> dict[str, Any]:
    """Predictions of the window's records by one version; a second run of the same window adds nothing."""
    from pipelines.live.score import partitions
    from pipelines.live.score.params import ScoreParams
    from pipelines.live.score.window import read_window
    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.records.domain import load_domain
    from pipelines.runtime.params import load_params, load_resources
    from pipelines.runtime.progress import advancing
    from pipelines.runtime.project import Project

    params, resources, schema = load_params("score", ScoreParams), load_resources(), load_domain().schema
    live = live_folder(Project.open())
    version, package = package_of(version)
    model = package / "model"
    records, verdict = read_window(Path.cwd(), start=start, end=end)
    if records.empty:
        logger.warning("the window [%s, %s) holds no record: nothing was scored", start, end)
    features, served_at, added = [item.name for item in schema.features], datetime.now(UTC), 0
    parts = partitions.cut(records, rows=params.partition_rows)
    answers = partitions.score(parts, model=model, workers=params.workers, threads=resources.threads)
    with advancing("scoring", total=len(records)) as advance:
        for part, answer in zip(parts, answers, strict=True):
            rows = partitions.as_rows(part, answer, model_version=version, served_at=served_at, features=features)
            added += predictions.add_predictions(live, predictions.as_predictions(rows, schema=schema))
            advance(len(part))
    logger.info(
        "%d records, %d new predictions by version %d in %s",
        len(records),
        added,
        version,
        predictions.predictions_folder(live),
    )
    let_pass = overridden(package)
    for stage, checks in let_pass.items():
        logger.warning("version %d was released past gate %s, closed by %s", version, stage, ", ".join(checks))
    return {
        "records": len(records),
        "added": added,
        "model_version": version,
        "ingest_passed": verdict["passed"],
        "overridden": let_pass,
    }


def overridden(package: Path) -> dict[str, list[str]]:
    """Stage -> the checks that closed its gate and that a person let pass, as the version's evidence records them."""
    files = sorted((package / "evidence").glob("override.*.json"))
    records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {record["stage"]: record["checks"] for record in records}


def package_of(version: int | None) -> tuple[int, Path]:
    """The version, by default the champion, and its package with every file checked."""
    from pipelines.live.release.params import model_name
    from pipelines.live.release.registry import CHAMPION, Registry

    registry = Registry(model_name())
    version = version if version is not None else registry.alias(CHAMPION)
    if version is None:
        raise InputError(f"{registry.model_name} has no champion yet: release one first (make demo)")
    return version, registry.package(version)


def export(*, version: int | None, int8: bool) -> dict[str, Any]:
    """Export the version's network and compare it with the fp32 model; scoring uses it where the gate is open."""
    import pandas as pd

    from pipelines.live.score import parity
    from pipelines.live.score.export import write_export
    from pipelines.live.score.params import ScoreParams
    from pipelines.models.predictor import Predictor
    from pipelines.records.domain import load_domain
    from pipelines.runtime.params import load_params

    params, schema = load_params("score", ScoreParams).parity, load_domain().schema
    version, package = package_of(version)
    records = parity.gold_rows(package, root=Path.cwd(), rows=params.rows)

    def judge(vectors: Vectors) -> Any:
        exact = Predictor.load(package / "model", precision="float32")
        before = exact.predict_proba(records, progress="float32")
        exact.replace_encoder(vectors)
        after = exact.predict_proba(records, progress="export")
        return parity.judge(records, exact=before, exported=after, schema=schema, params=params)

    sample = pd.read_parquet(package / parity.ANCHOR) if int8 else None  # it travels with the version
    record = write_export(package / "model", judge=judge, sample=sample)
    return {"model_version": version, "int8": int8, "passed": record["passed"], "checks": record["verdict"]["checks"]}


def late_labels(*, start: date, end: date, as_of: date) -> dict[str, Any]:
    """Gold labels of the window's records that had arrived before the day `as_of`."""
    import pandas as pd

    from pipelines.live.score.window import read_window
    from pipelines.monitoring import predictions
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.project import Project

    if as_of < end:
        raise InputError(f"--labels-as-of {as_of} is before the window's end {end}; labels come after what they label")
    # Ingest hides gold labels that arrive after its window, so the window is read as it stands on that day.
    records, _ = read_window(Path.cwd(), start=start, end=as_of)
    records = records[records["received_at"] < pd.Timestamp(end, tz="UTC")]
    arrived = records[records["gold"].notna() & (records["gold_at"] < pd.Timestamp(as_of, tz="UTC"))]
    frame = arrived[["id", "gold", "gold_at"]].set_axis(["record_id", "label", "labeled_at"], axis=1)
    added = predictions.add_labels(live_folder(Project.open()), frame)
    return {"records": len(records), "labels": len(arrived), "added": added}


if __name__ == "__main__":
    raise SystemExit(main())
