"""Every record that comes into a stage leaves the stage once, kept or with a reason: a difference closes the gate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipelines.gates.verdict import Check


def check_conservation(came_in: pd.Series, came_out: Mapping[str, pd.Series]) -> Check:
    """Check that the ids that came in are those that came out, each as often, over all the places they went to."""
    expected = came_in.astype("string").value_counts()
    found = pd.concat([ids.astype("string") for ids in came_out.values()]).value_counts()
    difference = found.sub(expected, fill_value=0)
    lost, added = int(-difference.clip(upper=0).sum()), int(difference.clip(lower=0).sum())
    places = " and ".join(f"{len(ids)} {place}" for place, ids in came_out.items())
    others = f"; {lost} records are missing and {added} are too many" if lost or added else ""
    return Check.equals(
        "conservation", lost + added, limit=0, rows=len(came_in), min_rows=0, required=True,
        sentence=f"{len(came_in)} records came in: {places}{others}",
        details={"examples": sorted(map(str, difference[difference != 0].index))[:5]} if lost or added else {},
    )  # fmt: skip
