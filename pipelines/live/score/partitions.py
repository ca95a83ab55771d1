"""Score partitions in parallel: each worker process loads the predictor once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.monitoring.predictions import SCHEMA_VERSION, feature_column, logged_with
from pipelines.runtime.errors import PerennialError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.schema import Feature

_predictor: Any = None


def cut(records: pd.DataFrame, *, rows: int) -> list[pd.DataFrame]:
    """Return partitions of at most `rows` records, in order."""
    return [records.iloc[first : first + rows] for first in range(0, len(records), rows)]


def score(
    partitions: list[pd.DataFrame], *, model: Path, exports: Path, workers: int, threads: int
) -> Iterator[pd.DataFrame]:
    """Yield `id`, `label` and `confidence` of each partition, in the order given.

    `exports` is the folder of exported networks; one that passed its parity gate is used. Raises PerennialError when a
    worker process dies.
    """
    if workers == 1 or len(partitions) == 1:
        _load(model, exports, threads)
        yield from map(_predict, partitions)
        return
    with ProcessPoolExecutor(
        min(workers, len(partitions)),
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(model, exports, max(1, threads // workers)),
    ) as pool:
        try:
            yield from pool.map(_predict, partitions)
        except BrokenProcessPool as error:
            raise PerennialError(
                "a scoring process ended before it returned its predictions: it was killed (out of memory?) or could "
                "not load the model. Rows that were written stay; run again, with fewer score.workers if memory is short"
            ) from error


def as_rows(
    records: pd.DataFrame,
    answers: pd.DataFrame,
    *,
    model_version: int,
    served_at: datetime,
    features: Sequence[Feature],
) -> pd.DataFrame:
    """Return prediction rows; the request id is a digest of record and version, so a second run gives the same."""
    import pandas as pd

    rows = pd.DataFrame({"record_id": records["id"], "received_at": records["received_at"]}).reset_index(drop=True)
    for feature in features:
        rows[feature_column(feature)] = records[feature.name].to_numpy()
    rows["features"] = logged_with([feature_column(feature) for feature in features])
    rows["text_length"] = records["text"].fillna("").str.len().to_numpy()
    rows["label"], rows["confidence"] = answers["label"].to_numpy(), answers["confidence"].to_numpy()
    rows["model_version"], rows["role"], rows["schema_version"] = model_version, "champion", SCHEMA_VERSION
    rows["served_at"] = pd.Timestamp(served_at)
    rows["request_id"] = [
        hashlib.sha256(f"score:{model_version}:{name}".encode()).hexdigest()[:32] for name in rows["record_id"]
    ]
    return rows


def _begin(model: Path, exports: Path, threads: int) -> None:
    """Load the model in a worker process, which ends when its parent ends for whatever reason."""
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)  # after kill -9 of the parent a worker would wait for its next partition forever

    threading.Thread(target=follow, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of this worker, whose entry point this is; torch reads it on import
    _load(model, exports, threads)


def _load(model: Path, exports: Path, threads: int) -> None:
    global _predictor  # noqa: PLW0603  one predictor per worker process, loaded once
    import torch

    from pipelines.live.score.export import passed_export
    from pipelines.models.predictor import Predictor

    torch.set_num_threads(threads)
    _predictor = Predictor.load(model)
    export = passed_export(model, exports=exports, threads=threads, streams=threads)
    if export is not None:
        _predictor.replace_encoders(export.vectors)


def _predict(partition: pd.DataFrame) -> pd.DataFrame:
    return _predictor.predict(partition.reset_index(drop=True))
