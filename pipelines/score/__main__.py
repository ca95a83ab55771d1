"""Score a window with a registered version: `python -m pipelines.score --start DAY --end DAY [--model-version N]`.

With `--labels-as-of DAY` it writes, instead, the gold labels of the window's records that had arrived by that day.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError, PerennialError

logger = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Score or label one window; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="score: %(message)s", force=True)
    parser = argparse.ArgumentParser(prog="python -m pipelines.score", description=__doc__)
    parser.add_argument("--start", type=date.fromisoformat, required=True, help="first UTC day")
    parser.add_argument("--end", type=date.fromisoformat, required=True, help="day after the last")
    parser.add_argument("--model-version", type=int, help="registered version; default: the champion")
    parser.add_argument("--labels-as-of", type=date.fromisoformat, help="write late labels instead of predictions")
    given = parser.parse_args(arguments)
    try:
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


def score_window(*, start: date, end: date, version: int | None) -> dict[str, Any]:
    """Predictions of the window's records by one version; a second run of the same window adds nothing."""
    from pipelines.core import predictions
    from pipelines.core.domain import load_domain
    from pipelines.core.params import load_params, load_resources
    from pipelines.core.progress import advancing
    from pipelines.release.params import model_name
    from pipelines.release.registry import CHAMPION, Registry
    from pipelines.score import partitions
    from pipelines.score.params import ScoreParams
    from pipelines.score.window import read_window

    params, resources, schema = load_params("score", ScoreParams), load_resources(), load_domain().schema
    registry = Registry(model_name())
    version = version if version is not None else registry.alias(CHAMPION)
    if version is None:
        raise InputError(f"{registry.model_name} has no champion yet: release one first (make demo)")
    model = registry.package(version) / "model"
    records, verdict = read_window(Path.cwd(), start=start, end=end)
    features, served_at, added = [item.name for item in schema.features], datetime.now(UTC), 0
    parts = partitions.cut(records, rows=params.partition_rows)
    answers = partitions.score(parts, model=model, workers=params.workers, threads=resources.threads)
    with advancing("scoring", total=len(records)) as advance:
        for part, answer in zip(parts, answers, strict=True):
            rows = partitions.as_rows(part, answer, model_version=version, served_at=served_at, features=features)
            added += predictions.add_predictions(predictions.as_predictions(rows, schema=schema))
            advance(len(part))
    logger.info(
        "%d records, %d new predictions by version %d in %s",
        len(records),
        added,
        version,
        predictions.predictions_root(),
    )
    return {"records": len(records), "added": added, "model_version": version, "ingest_passed": verdict["passed"]}


def late_labels(*, start: date, end: date, as_of: date) -> dict[str, Any]:
    """Gold labels of the window's records that had arrived before the day `as_of`."""
    import pandas as pd

    from pipelines.core import predictions
    from pipelines.score.window import read_window

    if as_of < end:
        raise InputError(f"--labels-as-of {as_of} is before the window's end {end}; labels come after what they label")
    # Ingest hides gold labels that arrive after its window, so the window is read as it stands on that day.
    records, _ = read_window(Path.cwd(), start=start, end=as_of)
    records = records[records["received_at"] < pd.Timestamp(end, tz="UTC")]
    arrived = records[records["gold"].notna() & (records["gold_at"] < pd.Timestamp(as_of, tz="UTC"))]
    frame = arrived[["id", "gold", "gold_at"]].set_axis(["record_id", "label", "labeled_at"], axis=1)
    return {"records": len(records), "labels": len(arrived), "added": predictions.add_labels(frame)}


if __name__ == "__main__":
    raise SystemExit(main())
