"""The drift profile: what the champion's world looked like, as counts by day over bins that never change again."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from pipelines.profile.text_measure import (
    OUT_OF_VOCABULARY,
    Matrix,
    TextMeasure,
    fit_text,
    frequent_words,
    unknown_shares,
    write_parquet,
)
from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams
from pipelines.runtime.state import write_atomic
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

FORMAT = 1
PREDICTED, CONFIDENCE, TEXT_LENGTH = "predicted_class", "confidence", "text_length"
SKETCH_LEVELS = 1001  # quantiles kept of each number: a Kolmogorov-Smirnov distance is off by 0.001 at most
FILES = ("counts.parquet", "sketches.parquet", "vocabulary.parquet", "directions.parquet")


class ProfileParams(StageParams):
    """How a profile is frozen (params.yaml: promote.profile)."""

    bins: int = Field(ge=2, le=100)  # quantile bins of a number
    max_categories: int = Field(ge=1, le=1000)  # bins of a category; rarer ones share one
    max_words: int = Field(ge=0)  # vocabulary, by number of texts
    min_texts: int = Field(ge=1)  # texts that a word must stand in
    directions: int = Field(ge=0, le=64)  # principal directions of the embedding


@dataclass(frozen=True)
class Column:
    """One column of a profile: its bins, where its values come from, its counts by day, its quantiles if a number."""

    bins: Bins
    source: str  # "input": known of every row; "prediction": what the model said; "text": measured on the text
    counts: Counts
    sketch: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The column's name."""
        return self.bins.name

    @property
    def kind(self) -> Kind:
        """Whether it holds numbers or categories."""
        return self.bins.kind


@dataclass(frozen=True)
class Performance:
    """How right the model was at release on rows it had not seen: what late labels are compared with."""

    rows: int
    right: int
    log_loss: float
    log_loss_sd: float


@dataclass(frozen=True)
class Profile:
    """What live data is compared with: the accepted rows of the training window, before dedupe, as counts by day."""

    domain: str
    model_digest: str
    first_day: date
    n_days: int
    rows: NDArray[np.int64]
    columns: tuple[Column, ...]
    text: TextMeasure
    performance: Performance | None

    @property
    def end(self) -> date:
        """The day after the last one."""
        return self.first_day + timedelta(days=self.n_days)

    @property
    def n_weeks(self) -> int:
        """Whole weeks in it."""
        return self.n_days // 7

    @property
    def digest(self) -> str:
        """sha256 of everything in it."""
        return hashlib.sha256(self._manifest()).hexdigest()

    def column(self, name: str) -> Column:
        """The column of that name; InputError lists those there are."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"the profile has no column {name!r}; there are: {', '.join(c.name for c in self.columns)}")

    def refuse_other(self, *, domain: str, model_digest: str | None) -> None:
        """Raise InputError when this is the profile of another domain or of another model."""
        if self.domain != domain:
            raise InputError(f"this is a profile of domain {self.domain!r}, the data is of {domain!r}: give its own")
        if model_digest is not None and model_digest != self.model_digest:
            raise InputError(
                f"this is the profile of model {self.model_digest[:12]}, the predictions are of {model_digest[:12]}: "
                "give the profile that was released with that version"
            )

    def write(self, folder: Path) -> None:
        """Write the profile: `profile.json` and parquet beside it; the same profile gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self._tables().items():
            write_parquet(folder / name, frame)
        self.text.write(folder)
        head = json.loads(self._manifest())
        head["files"] = {name: _digest(folder / name) for name in FILES}
        write_atomic(folder / "profile.json", (json.dumps(head, indent=2, sort_keys=True) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> "Profile":
        """The profile in a folder; InputError when a file is missing, changed or of another format."""
        path = folder / "profile.json"
        try:
            head = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is no drift profile ({error}); `promote` writes one beside each model") from None
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise InputError(
                f"{path}: format {head.get('format') if isinstance(head, dict) else head!r}; {FORMAT} is read"
            )
        for name in FILES:
            found = _digest(folder / name) if (folder / name).is_file() else "nothing"
            if found != head["files"][name]:
                raise InputError(
                    f"{folder / name} has digest {found[:12]}, its profile says {head['files'][name][:12]}"
                )
        counts = pd.read_parquet(folder / "counts.parquet")
        sketches = pd.read_parquet(folder / "sketches.parquet")
        n_days = int(head["n_days"])
        columns = []
        for index, plain in enumerate(head["columns"]):
            bins = Bins.from_json(plain)
            dense = np.zeros((n_days, bins.n_bins), dtype=np.int64)
            own = counts[counts["column"] == index]
            dense[own["day"].to_numpy(), own["bin"].to_numpy()] = own["count"].to_numpy()
            sketch = sketches.loc[sketches["column"] == index, "value"].to_numpy(dtype=np.float64)
            columns.append(Column(bins=bins, source=plain["source"], counts=dense, sketch=sketch))
        profile = cls(
            domain=head["domain"],
            model_digest=head["model_digest"],
            first_day=date.fromisoformat(head["first_day"]),
            n_days=n_days,
            rows=np.asarray(head["rows"], dtype=np.int64),
            columns=tuple(columns),
            text=TextMeasure.read(folder),
            performance=Performance(**head["performance"]) if head["performance"] else None,
        )
        if profile.digest != hashlib.sha256(_canonical({k: v for k, v in head.items() if k != "files"})).hexdigest():
            raise InputError(f"{path}: its content does not fit its digest")
        return profile

    def _tables(self) -> dict[str, pd.DataFrame]:
        rows, sketches = [], []
        for index, column in enumerate(self.columns):
            day, place = np.nonzero(column.counts)
            rows.append(pd.DataFrame({"column": index, "day": day, "bin": place, "count": column.counts[day, place]}))
            sketches.append(pd.DataFrame({"column": index, "value": column.sketch}))
        counts = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["column", "day", "bin", "count"])
        values = pd.concat(sketches, ignore_index=True) if sketches else pd.DataFrame(columns=["column", "value"])
        return {
            "counts.parquet": counts.astype({"column": "int32", "day": "int32", "bin": "int32", "count": "int64"}),
            "sketches.parquet": values.astype({"column": "int32", "value": "float64"}),
        }

    def _manifest(self) -> bytes:
        performance = self.performance
        return _canonical(
            {
                "format": FORMAT,
                "domain": self.domain,
                "model_digest": self.model_digest,
                "first_day": self.first_day.isoformat(),
                "n_days": self.n_days,
                "rows": self.rows.tolist(),
                "columns": [
                    {
                        **column.bins.to_json(),
                        "source": column.source,
                        "content": hashlib.sha256(column.counts.tobytes() + column.sketch.tobytes()).hexdigest(),
                    }
                    for column in self.columns
                ],
                "text": hashlib.sha256(
                    "\n".join(self.text.vocabulary).encode() + self.text.mean.tobytes() + self.text.directions.tobytes()
                ).hexdigest(),
                "performance": performance.__dict__ if performance else None,
            }
        )


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
    `confidence`, and `gold` (may be null) where its performance shall be kept. `embeddings`: of the rows at the
    positions `embedded` of `reference` (all rows when None).
    """
    n_days = (end - start).days
    if n_days < 1:
        raise InputError(f"a profile from {start} to {end} holds no day; `end` is the day after the last one")
    days = day_numbers(reference["received_at"], first_day=start)
    inside = (days >= 0) & (days < n_days)
    if not inside.any():
        raise InputError(f"no row of the reference was received from {start} to {end}")
    frame = reference.assign(**{TEXT_LENGTH: _lengths(reference)})
    numbers = [*dict.fromkeys([*numbers, TEXT_LENGTH])] if "text" in reference.columns else list(numbers)
    kinds: list[tuple[str, Kind]] = [
        *((name, "category") for name in categories),
        *((name, "number") for name in numbers),
    ]
    columns = [
        _freeze(frame[name], name=name, kind=kind, source="input", days=days, n_days=n_days, params=params)
        for name, kind in kinds
    ]
    text, measured = _measure_text(frame, embeddings=embeddings, embedded=embedded, params=params)
    for name in measured.columns:
        rows = np.arange(len(frame)) if name == OUT_OF_VOCABULARY or embedded is None else embedded
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
        performance=_performance(predictions),
    )


def _freeze(
    values: "pd.Series[Any]",
    *,
    name: str,
    kind: Kind,
    source: str,
    days: NDArray[np.int64],
    n_days: int,
    params: ProfileParams,
) -> Column:
    inside = values[(days >= 0) & (days < n_days)]
    sketch = np.empty(0)
    if kind == "number":
        bins = freeze_number(inside, name=name, bins=params.bins)
        finite = to_numbers(inside)
        finite = finite[np.isfinite(finite)]
        if len(finite):
            sketch = np.quantile(finite, np.linspace(0, 1, SKETCH_LEVELS), method="inverted_cdf")
    else:
        bins = freeze_category(inside, name=name, most=params.max_categories)
    return Column(
        bins=bins, source=source, counts=count_days(values, bins=bins, days=days, n_days=n_days), sketch=sketch
    )


def _prediction_columns(
    predictions: pd.DataFrame, *, start: date, n_days: int, labels: Sequence[str], params: ProfileParams
) -> list[Column]:
    days = day_numbers(predictions["received_at"], first_day=start)
    bins = Bins(name=PREDICTED, kind="category", categories=tuple(labels))  # a class never predicted is no news
    counts = count_days(predictions["label"], bins=bins, days=days, n_days=n_days)
    confidence = predictions["confidence"]
    return [
        Column(bins=bins, source="prediction", counts=counts, sketch=np.empty(0)),
        _freeze(
            confidence, name=CONFIDENCE, kind="number", source="prediction", days=days, n_days=n_days, params=params
        ),
    ]


def _lengths(frame: pd.DataFrame) -> "pd.Series[Any]":
    """`text_length` as predictions log it; measured here where the frame does not bring it."""
    if TEXT_LENGTH in frame.columns:
        return frame[TEXT_LENGTH]
    if "text" in frame.columns:
        return frame["text"].fillna("").str.len()
    return pd.Series(np.nan, index=frame.index)


def _measure_text(
    frame: pd.DataFrame, *, embeddings: Matrix | None, embedded: NDArray[np.int64] | None, params: ProfileParams
) -> tuple[TextMeasure, pd.DataFrame]:
    """The text measure of the reference and its columns on it, NaN where a row was not embedded."""
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
    # A reference text knows its own words: without itself, a word needs one text more to be known. Else live texts,
    # which were not asked, hold more unknown words by construction.
    others = frequent_words(texts, most=params.max_words, min_texts=params.min_texts + 1)
    measured = pd.DataFrame({OUT_OF_VOCABULARY: unknown_shares(texts, vocabulary=others)} if measure.vocabulary else {})
    if embeddings is not None and len(measure.mean):
        positions = np.arange(len(frame)) if embedded is None else embedded
        if len(positions) != len(embeddings):
            raise InputError(
                f"{len(embeddings)} embeddings came for {len(positions)} rows: one for each would be right"
            )
        some = TextMeasure((), measure.mean, measure.directions).measure([""] * len(embeddings), embeddings=embeddings)
        for name in some.columns:
            values = np.full(len(frame), np.nan)
            values[positions] = some[name].to_numpy()
            measured[name] = values
    return measure, measured


def _performance(predictions: pd.DataFrame | None) -> Performance | None:
    """Accuracy and log loss of being right, from `label`, `confidence` and `gold`; None without gold rows."""
    if predictions is None or "gold" not in predictions.columns:
        return None
    known = predictions[predictions["gold"].notna()]
    if known.empty:
        return None
    right = (known["label"].astype("string") == known["gold"].astype("string")).to_numpy(dtype=bool)
    losses = losses_of_being_right(right, confidence=known["confidence"].to_numpy(dtype=np.float64))
    return Performance(
        rows=len(known),
        right=int(right.sum()),
        log_loss=round(float(losses.mean()), 9),
        log_loss_sd=round(float(losses.std()), 9),
    )


def losses_of_being_right(right: NDArray[np.bool_], *, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log loss of the claim "my answer is right, so sure am I": all that a log without distributions can give."""
    sure = np.clip(confidence, 1e-6, 1 - 1e-6)
    losses: NDArray[np.float64] = -np.log(np.where(right, sure, 1 - sure))
    return losses


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
