"""The gate of an exported model: it must predict what the float32 model predicts, and no slice may lose accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.verdict import Check, Verdict
from pipelines.stats.slices import slice_rows

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.score.params import ParityParams
    from pipelines.records.schema import DomainSchema
    from pipelines.runtime.store import Store

ANCHOR = "anchor.parquet"
Floats = NDArray[np.float64]


def parity_verdict(
    records: pd.DataFrame, *, exact: Floats, exported: Floats, schema: DomainSchema, params: ParityParams
) -> Verdict:
    """Check the agreement of the most probable labels, and the largest loss of accuracy over slices of gold rows.

    `exact` and `exported` are probabilities of the float32 model and of the export, shape (n, labels).
    """
    finite = bool(np.isfinite(exported).all())
    same = exact.argmax(axis=1) == exported.argmax(axis=1)
    gold = np.array([schema.labels.index(label) for label in records["gold"]], dtype=np.int64)
    lost = (exact.argmax(axis=1) == gold).astype(float) - (exported.argmax(axis=1) == gold).astype(float)
    slices = slice_rows(
        records,
        schema=schema,
        max_categories=params.slices.max_categories,
        length_bands=params.slices.length_bands,
        min_rows=params.slices.min_rows,
    )
    losses = {f"{part.kind}: {part.name}": float(lost[part.rows].mean()) for part in slices}
    worst = max(losses, key=lambda name: losses[name], default=None)
    common: dict[str, Any] = {"rows": len(records), "min_rows": params.min_rows, "required": True}
    return Verdict.of(
        "export",
        [
            Check.at_least(
                "agreement",
                float(same.mean()) if len(same) and finite else None,
                limit=params.min_agreement,
                sentence="share of rows for which the export and the float32 model predict the same label",
                **common,
            ),
            Check.at_most(
                "worst_slice_loss",
                losses[worst] if worst is not None and finite else None,
                limit=params.max_slice_loss,
                sentence="largest loss of accuracy of a slice",
                details={"slice": worst, "slices": len(losses)},
                **common,
            ),
        ],
    )


def gold_rows(package: Path, *, store: Store, rows: int) -> pd.DataFrame:
    """Return gold rows to compare on: the newest of this checkout's `recent` part, then the version's fixed test set."""
    import pandas as pd

    frames = [pd.read_parquet(package / ANCHOR)]
    if (store.folder / "split" / "records.parquet").exists():
        records = store.read_records("split")
        frames.insert(0, records[records["part"] == "recent"].sort_values("received_at", ascending=False))
    whole = pd.concat(frames, ignore_index=True)
    return whole[whole["gold"].notna()].drop_duplicates("id").head(rows).reset_index(drop=True)
