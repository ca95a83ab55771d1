"""Named parts of a test set: protected groups, values of small categories, text lengths, months, gold classes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipelines.core.domain import DomainSchema
from pipelines.core.params import StageParams

MOST_STRATA = 12  # values of a stratum; more are cut to the most frequent
NUMBER_BANDS = 4
GOLD_SLICE = "gold label"  # the kind of a slice that is one gold class


class SliceParams(StageParams):
    """params.yaml: evaluate.slices and promote.slices."""

    max_categories: int = Field(ge=1)  # a category feature with more values makes no slices
    length_bands: int = Field(ge=1)  # quantile bands of the text's length
    min_rows: int = Field(ge=1)  # a smaller slice is left out


@dataclass(frozen=True)
class Slice:
    """One named part of a test set; `kind` is what it was cut by, `rows` are positions in the frame."""

    kind: str
    name: str
    rows: NDArray[np.int64]


def slice_rows(
    records: pd.DataFrame, *, schema: DomainSchema, max_categories: int, length_bands: int, min_rows: int
) -> list[Slice]:
    """Every slice with at least `min_rows` rows; slices of different kinds overlap."""
    found = [
        Slice(kind, name, np.flatnonzero(mask))
        for kind, name, mask in (
            *_protected(records, schema),
            *_categories(records, schema, max_categories),
            *_lengths(records, length_bands),
            *_months(records),
            *_classes(records, schema),
        )
    ]
    return [part for part in found if len(part.rows) >= min_rows]


def strata_rows(records: pd.DataFrame, *, schema: DomainSchema) -> list[Slice]:
    """Every value of every stratum of the domain, by name; numbers are cut into bands of equal size."""
    kinds = {feature.name: feature.kind for feature in schema.features}
    found = []
    for name in schema.strata:
        column = records[name]
        if kinds.get(name) == "number":
            band = pd.qcut(column, NUMBER_BANDS, labels=False, duplicates="drop")
            ends = column.groupby(band).agg(["min", "max"])
            names = {place: f"{low:g} to {high:g}" for place, low, high in ends.itertuples()}
            column = band.map(names)
        values = column.astype("string").fillna("missing")
        for value in sorted(values.value_counts().head(MOST_STRATA).index):
            found.append(Slice(name, f"{name}={value}", np.flatnonzero((values == value).to_numpy(dtype=bool))))
    return found


Masks = Iterator[tuple[str, str, NDArray[np.bool_]]]


def _protected(records: pd.DataFrame, schema: DomainSchema) -> Masks:
    for attribute in schema.protected:
        codes = records[attribute.name].astype("Int8")
        yield attribute.name, attribute.member, (codes == 1).fillna(False).to_numpy(bool)
        yield attribute.name, attribute.rest, (codes == 0).fillna(False).to_numpy(bool)


def _categories(records: pd.DataFrame, schema: DomainSchema, max_categories: int) -> Masks:
    for feature in schema.features:
        if feature.kind != "category":
            continue
        values = records[feature.name]
        names = sorted(values.dropna().unique())
        if 2 <= len(names) <= max_categories:
            for name in names:
                yield feature.name, str(name), (values == name).fillna(False).to_numpy(bool)


def _lengths(records: pd.DataFrame, bands: int) -> Masks:
    lengths = records["text"].str.len().to_numpy(np.int64)
    if not lengths.any():
        return
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bands + 1)[1:-1], method="inverted_cdf").astype(np.int64))
    band = np.searchsorted(edges, lengths, side="left")
    for index in range(len(edges) + 1):
        mask = band == index
        if mask.any():
            yield "text length", f"{lengths[mask].min()} to {lengths[mask].max()} characters", mask


def _months(records: pd.DataFrame) -> Masks:
    months = records["received_at"].dt.strftime("%Y-%m")
    for month in sorted(months.unique()):
        yield "month", str(month), (months == month).to_numpy(bool)


def _classes(records: pd.DataFrame, schema: DomainSchema) -> Masks:
    for label in schema.labels:
        yield GOLD_SLICE, label, (records["gold"] == label).fillna(False).to_numpy(bool)
