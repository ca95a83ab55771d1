"""Freeze a drift profile: fix the bins of a reference window and count it by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipelines.profile.performance import performance_of
from pipelines.profile.profile import (
    CONFIDENCE,
    PREDICTED,
    SKETCH_LEVELS,
    TEXT_LENGTH,
    Column,
    Profile,
    name_of_feature,
)
from pipelines.profile.text_measure import (
    OUT_OF_VOCABULARY,
    Matrix,
    TextMeasure,
    fit_text,
    frequent_words,
    unknown_shares,
)
from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams
from pipelines.stats.histogram import (
    Bins,
    Counts,
    Kind,
    count_days,
    day_numbers,
    freeze_category,
    freeze_number,
    to_numbers,
)
from pipelines.stats.tail import SPANS, count_tail, find_identifiers


class ProfileParams(StageParams):
    """params.yaml: promote.profile: how a profile is frozen."""

    bins: int = Field(default=10, ge=2, le=100, description="quantile bins of a number")
    max_categories: int = Field(default=50, ge=1, le=1000, description="bins of a category; rarer values share one")
    max_words: int = Field(default=20_000, ge=0, description="words of the vocabulary, by number of texts")
    min_texts: int = Field(default=3, ge=1, description="texts that a word must occur in")
    directions: int = Field(default=4, ge=0, le=64, description="principal directions of the embedding")


def build_profile(
    reference: pd.DataFrame,
    *,
    start: date,
    end: date,
    domain: str,
    model_digest: str,
    categories: Sequence[str],
    numbers: Sequence[str],
    labels: Sequence[str],
    params: ProfileParams,
    predictions: pd.DataFrame | None = None,
    embeddings: Matrix | None = None,
    embedded: NDArray[np.int64] | None = None,
) -> Profile:
    """Freeze the bins of a reference and count it by day over the UTC days `start <= day < end`.

    `reference`: accepted rows of ingest in the training window, *before* dedupe: `received_at`, `text`, the columns
    named in `categories` and `numbers`. `predictions`: rows the model was not trained on: `received_at`, `label`,
    `confidence`, and `gold` (may be null) if performance is stored. `embeddings`: (m, d) of the rows at the
    positions `embedded` (m,) of `reference` (all rows when None). InputError for a window without days or rows.
    """
    n_days = (end - start).days
    if n_days < 1:
        raise InputError(
            f"invalid profile window {start} to {end}: expected at least one day; `end` is the day after the last one"
        )
    days = day_numbers(reference["received_at"], first_day=start)
    inside = (days >= 0) & (days < n_days)
    if not inside.any():
        raise InputError(f"no row of the reference was received from {start} to {end}")
    features: list[tuple[str, Kind]] = [
        *((name, "category") for name in categories),
        *((name, "number") for name in numbers),
    ]
    identifiers = find_identifiers(reference[inside], features=features, days=days[inside], n_days=n_days)
    kinds: list[tuple[str, pd.Series[Any], Kind]] = [
        (name_of_feature(name), reference[name], kind) for name, kind in features if name not in identifiers
    ]
    if "text" in reference.columns:
        kinds.append((TEXT_LENGTH, reference["text"].fillna("").str.len(), "number"))  # as predictions log it
    columns = [
        _freeze(values, name=name, kind=kind, source="input", days=days, n_days=n_days, params=params)
        for name, values, kind in kinds
    ]
    text, measured = _measure_text(reference, embeddings=embeddings, embedded=embedded, params=params)
    for name in measured.columns:
        rows = np.arange(len(reference)) if name == OUT_OF_VOCABULARY or embedded is None else embedded
        columns.append(
            _freeze(
                measured[name].iloc[rows],
                name=name,
                kind="number",
                source="text",
                days=days[rows],
                n_days=n_days,
                params=params,
            )
        )
    if predictions is not None:
        columns += _prediction_columns(predictions, start=start, n_days=n_days, labels=labels, params=params)
    return Profile(
        domain=domain,
        model_digest=model_digest,
        first_day=start,
        n_days=n_days,
        rows=np.bincount(days[inside], minlength=n_days).astype(np.int64),
        columns=tuple(columns),
        text=text,
        performance=performance_of(predictions),
        identifiers=identifiers,
    )


def _freeze(
    values: pd.Series[Any],
    *,
    name: str,
    kind: Kind,
    source: str,
    days: NDArray[np.int64],
    n_days: int,
    params: ProfileParams,
) -> Column:
    kept = (days >= 0) & (days < n_days)
    inside, sketch = values[kept], np.empty(0)
    tails: Counts | None = None
    if kind == "number":
        bins = freeze_number(inside, name=name, bins=params.bins)
        finite = to_numbers(inside)
        finite = finite[np.isfinite(finite)]
        if len(finite):
            sketch = np.quantile(finite, np.linspace(0, 1, SKETCH_LEVELS), method="inverted_cdf")
    else:
        periods = (days[kept] - n_days) // (7 * SPANS[-1])
        bins = freeze_category(inside, name=name, most=params.max_categories, periods=periods)
        if bins.others:
            counted = [
                count_tail(values, bins=bins, days=days, n_days=n_days, span=span, reference=True) for span in SPANS
            ]
            tails = np.stack(counted)
    counts = count_days(values, bins=bins, days=days, n_days=n_days)
    return Column(bins=bins, source=source, counts=counts, sketch=sketch, tails=tails)


def _prediction_columns(
    predictions: pd.DataFrame, *, start: date, n_days: int, labels: Sequence[str], params: ProfileParams
) -> list[Column]:
    days = day_numbers(predictions["received_at"], first_day=start)
    bins = Bins(
        name=PREDICTED, kind="category", categories=tuple(labels)
    )  # a class that was never predicted is a known bin
    counts = count_days(predictions["label"], bins=bins, days=days, n_days=n_days)
    confidence = predictions["confidence"]
    return [
        Column(bins=bins, source="prediction", counts=counts, sketch=np.empty(0)),
        _freeze(
            confidence, name=CONFIDENCE, kind="number", source="prediction", days=days, n_days=n_days, params=params
        ),
    ]


def _measure_text(
    frame: pd.DataFrame, *, embeddings: Matrix | None, embedded: NDArray[np.int64] | None, params: ProfileParams
) -> tuple[TextMeasure, pd.DataFrame]:
    """Return the text measure of the reference and its columns, NaN for rows that were not embedded."""
    texts = frame["text"].fillna("").tolist() if "text" in frame.columns else []
    if not any(texts):
        return TextMeasure(vocabulary=(), mean=np.empty(0), directions=np.empty((0, 0))), pd.DataFrame()
    measure = fit_text(
        texts,
        embeddings=embeddings,
        max_words=params.max_words,
        min_texts=params.min_texts,
        directions=params.directions,
    )
    # A reference text contributes its own words, so a word must be in one more text to be known to it. Otherwise live
    # texts, which contribute none, would have more unknown words by construction.
    others = frequent_words(texts, most=params.max_words, min_texts=params.min_texts + 1)
    measured = pd.DataFrame({OUT_OF_VOCABULARY: unknown_shares(texts, vocabulary=others)} if measure.vocabulary else {})
    if embeddings is not None and len(measure.mean):
        positions = np.arange(len(frame)) if embedded is None else embedded
        if len(positions) != len(embeddings):
            raise InputError(f"invalid embeddings: {len(embeddings)} for {len(positions)} rows, expected one per row")
        some = TextMeasure((), measure.mean, measure.directions).measure([""] * len(embeddings), embeddings=embeddings)
        for name in some.columns:
            values = np.full(len(frame), np.nan)
            values[positions] = some[name].to_numpy()
            measured[name] = values
    return measure, measured
