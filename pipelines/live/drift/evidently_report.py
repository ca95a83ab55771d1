"""Evidently's report of the live week, with our PSI registered in it: a second opinion."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.live.drift.live import Live
from pipelines.profile.profile import Column, Profile
from pipelines.stats.histogram import MISSING, Bins, psi

ROWS = 20_000  # drawn from the profile's counts: Evidently wants rows, the profile has none


def rebuild(profile: Profile, *, columns: list[Column], rows: int) -> pd.DataFrame:
    """Return rows with the profile's shares: quantiles of its numbers, its categories in proportion."""
    rebuilt: dict[str, Any] = {}
    for column in columns:
        counts = column.counts.sum(axis=0)
        missing = round(rows * counts[-1] / max(counts.sum(), 1))
        if column.kind == "number":
            places = np.linspace(0, len(column.sketch) - 1, rows - missing).round().astype(int)
            rebuilt[column.name] = np.concatenate([column.sketch[places], np.full(missing, np.nan)])
        else:
            edges = np.round(np.cumsum(counts) / max(counts.sum(), 1) * rows).astype(int)
            places = np.searchsorted(edges, np.arange(rows), side="right").clip(0, len(counts) - 1)
            names = np.array([None if label == MISSING else label for label in column.bins.labels], dtype=object)
            rebuilt[column.name] = names[places]
    return pd.DataFrame(rebuilt)


def write_evidently(profile: Profile, live: Live, *, path: Path, limit: float) -> None:
    """Write `evidently.html`: its summary of every column, with drift by our PSI on the frozen bins."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [c for c in profile.columns if c.name in live.counts and (c.kind == "category" or len(c.sketch))]
    last = {c.name: live.values(c.name, first=live.n_days - 7, last=live.n_days) for c in columns}
    columns = [c for c in columns if last[c.name].notna().any()]
    if not columns:
        return
    weeks = {c.name: live.counts[c.name][-7:].sum(axis=0) for c in columns}
    register_psi({c.name: float(psi(c.counts.sum(axis=0), weeks[c.name])) for c in columns}, limit=limit)
    current = pd.DataFrame({c.name: _plain(last[c.name], c.bins).reset_index(drop=True) for c in columns})
    reference = rebuild(profile, columns=columns, rows=ROWS)
    definition = DataDefinition(
        numerical_columns=[c.name for c in columns if c.kind == "number"],
        categorical_columns=[c.name for c in columns if c.kind == "category"],
    )
    report = Report([DataDriftPreset(method="frozen_psi", threshold=limit)])
    snapshot = report.run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot.save_html(str(path))


def register_psi(values: dict[str, float], *, limit: float) -> None:
    """Register our PSI with Evidently as `frozen_psi`.

    Evidently's own PSI takes its bins from reference and window together, and it drops missing values before any test.
    So the value is found by column name, computed from counts that include MISSING and UNSEEN.
    """
    from evidently.legacy.calculations.stattests import registry
    from evidently.legacy.core import ColumnType

    def frozen_psi(
        reference: "pd.Series[Any]", current: "pd.Series[Any]", feature_type: Any, threshold: float
    ) -> tuple[float, bool]:
        value = values[str(current.name)]
        return value, value >= threshold

    test = registry.StatTest(
        name="frozen_psi",
        display_name="PSI on bins frozen with the model",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=limit,
    )
    registry.register_stattest(test, default_impl=frozen_psi)


def _plain(values: "pd.Series[Any]", bins: Bins) -> "pd.Series[Any]":
    """Return values as Evidently takes them: float64, or the names of the frozen categories."""
    if bins.kind == "number":
        return pd.to_numeric(values, errors="coerce").astype("float64")
    names = np.array([None if label == MISSING else label for label in bins.labels], dtype=object)
    return pd.Series(names[bins.codes(values)], index=values.index)
