"""Slices of a test set: protected groups, values of small categories, text lengths, months, gold classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipelines.runtime.params import StageParams

MAX_STRATA = 12  # values of a feature that are strata of their own: the most frequent ones
NUMBER_BANDS = 4
GOLD_SLICE = "gold label"  # the kind of a slice that is one gold class


class SliceParams(StageParams):
    """params.yaml: evaluate.slices, promote.slices and score.parity.slices."""

    max_categories: int = Field(default=8, ge=1, description="values of a category; one with more has no slices")
    length_bands: int = Field(default=4, ge=1, description="quantile bands of the text's length")
    min_rows: int = Field(ge=1, description="rows of a slice; a smaller one is left out")


class SliceSchema(Protocol):
    """The part of a domain schema that slices need; `records.domain.DomainSchema` has it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in class order."""

    @property
    def features(self) -> tuple[Any, ...]:
        """Features, each with `name` and `kind`."""

    @property
    def protected(self) -> tuple[Any, ...]:
        """Protected attributes, each with `name`, `member` and `rest`."""

    @property
    def strata(self) -> tuple[str, ...]:
        """Names of the features within whose values groups are compared."""


@dataclass(frozen=True)
class Slice:
    """One named part of a test set; `kind` is what it is sliced by, `rows` are positions in the frame."""

    kind: str
    name: str
    rows: NDArray[np.int64]


def slice_rows(
    records: pd.DataFrame, *, schema: SliceSchema, max_categories: int, length_bands: int, min_rows: int
) -> list[Slice]:
    """Return every slice with at least `min_rows` rows; slices of different kinds overlap."""
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


def comparable_strata(
    records: pd.DataFrame,
    *,
    schema: SliceSchema,
    group: NDArray[np.integer],
    at_least: int,
    among: NDArray[np.bool_] | None = None,
) -> list[Slice]:
    """Return the strata of the records (of those `among`, if given) within which groups are compared.

    Each value of each declared stratum with `at_least` rows of both groups (`group` is 1, 0 or -1) is one; numbers are
    cut into bands of equal size. The other values form one stratum together, so that rare values are compared too. If
    no value has enough rows, the result is one stratum without a name that contains every row.
    """
    every = np.arange(len(records)) if among is None else np.flatnonzero(among)

    def large(rows: NDArray[np.int64]) -> bool:
        return all(int((group[rows] == side).sum()) >= at_least for side in (1, 0))

    found = []
    numbers = {feature.name for feature in schema.features if feature.kind == "number"}
    for name in schema.strata:
        values = _values(records[name], bands=name in numbers).to_numpy()[every]
        common = sorted(pd.Series(values).value_counts().head(MAX_STRATA).index)
        parts = {value: every[values == value] for value in common}
        alone = [value for value in common if large(parts[value])]
        rest = every[~np.isin(values, alone)]
        found += [Slice(name, f"{name}={value}", parts[value]) for value in alone]
        if alone and large(rest):
            found.append(Slice(name, f"{name}=any other", rest))
    return found or [Slice("", "", every)]


def _values(column: pd.Series, *, bands: bool) -> pd.Series:
    """Return a feature's values as text; numbers as the ends of their band."""
    if bands:
        band = pd.qcut(column, NUMBER_BANDS, labels=False, duplicates="drop")
        ends = column.groupby(band).agg(["min", "max"])
        column = band.map({place: f"{low:g} to {high:g}" for place, low, high in ends.itertuples()})
    return column.astype("string").fillna("missing").astype("object")


Masks = Iterator[tuple[str, str, NDArray[np.bool_]]]


def _protected(records: pd.DataFrame, schema: SliceSchema) -> Masks:
    for attribute in schema.protected:
        codes = records[attribute.name].astype("Int8")
        yield attribute.name, attribute.member, (codes == 1).fillna(False).to_numpy(bool)
        yield attribute.name, attribute.rest, (codes == 0).fillna(False).to_numpy(bool)


def _categories(records: pd.DataFrame, schema: SliceSchema, max_categories: int) -> Masks:
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


def _classes(records: pd.DataFrame, schema: SliceSchema) -> Masks:
    for label in schema.labels:
        yield GOLD_SLICE, label, (records["gold"] == label).fillna(False).to_numpy(bool)
