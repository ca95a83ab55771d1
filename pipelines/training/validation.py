"""What a model answers on gold validation rows, kept by its training stage: the blend is chosen on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.runtime.store import Store


def write_validation(
    store: Store, stage: str, rows: pd.DataFrame, probabilities: Any, *, labels: Sequence[str]
) -> None:
    """Write `validation.parquet`: `id` and `p_<label>` of the rows, calibrated probabilities of shape (n, k)."""
    import pandas as pd

    values = np.asarray(probabilities, dtype=np.float64).reshape(len(rows), len(labels))
    table = pd.DataFrame({"id": rows["id"].astype("string").to_numpy()}).astype({"id": "string"})
    store.write_records(
        stage, table.assign(**{f"p_{label}": values[:, code] for code, label in enumerate(labels)}), name="validation"
    )


def read_validation(store: Store, stage: str, rows: pd.DataFrame, *, labels: Sequence[str]) -> NDArray[np.float64]:
    """Return the calibrated probabilities (n, k) that a training stage kept for gold validation rows.

    Raises InputError when it kept those of other rows.
    """
    kept = store.read_records(stage, name="validation").set_index("id")
    if len(kept) != len(rows) or not kept.index.is_unique or not rows["id"].isin(kept.index).all():
        raise InputError(
            f"{store.folder / stage / 'validation.parquet'} is not about the {len(rows)} gold validation rows of "
            f"data/split: run `dvc repro {stage}`"
        )
    return np.asarray(kept.loc[rows["id"], [f"p_{label}" for label in labels]].to_numpy(dtype=np.float64))
