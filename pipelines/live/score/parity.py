"""The gate of an exported model: it must answer as the fp32 model does, and cost no slice its accuracy."""

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
    from pipelines.records.domain import DomainSchema

ANCHOR = "anchor.parquet"
Floats = NDArray[np.float64]


def judge(
    records: pd.DataFrame, *, exact: Floats, exported: Floats, schema: DomainSchema, params: ParityParams
) -> Verdict:
    """Agreement of the most probable labels, and the worst loss of accuracy over slices of the gold rows."""
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
                limit=params.agreement_at_least,
                sentence="the export gives the label that the model gives in float32",
                **common,
            ),
            Check.at_most(
                "worst_slice_loss",
                losses[worst] if worst is not None and finite else None,
                limit=params.slice_loss_at_most,
                sentence="no slice loses accuracy by the export",
                details={"slice": worst, "slices": len(losses)},
                **common,
            ),
        ],
    )


def gold_rows(package: Path, *, root: Path, rows: int) -> pd.DataFrame:
    """Rows with gold to compare on: the newest of this checkout's `recent` part, and the version's anchor set."""
    import pandas as pd

    frames = [pd.read_parquet(package / ANCHOR)]
    split = root / "data" / "split" / "records.parquet"
    if split.exists():
        records = pd.read_parquet(split)
        frames.insert(0, records[records["part"] == "recent"].sort_values("received_at", ascending=False))
    whole = pd.concat(frames, ignore_index=True)
    return whole[whole["gold"].notna()].drop_duplicates("id").head(rows).reset_index(drop=True)
