"""Numbers that describe texts: the share of unknown words, and the position of the embedding."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.runtime.errors import InputError
from pipelines.runtime.state import write_atomic
from pipelines.text.scripts import UNSPACED

WORD = rf"[{UNSPACED}]|[^\W\d_&&[^{UNSPACED}]]+"  # in scripts without spaces each character is a word
OUT_OF_VOCABULARY = "out_of_vocabulary"
EMBEDDING_DISTANCE = "embedding_distance"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class TextMeasure:
    """The vocabulary of the reference, the mean of its embeddings and their principal directions."""

    vocabulary: tuple[str, ...]
    mean: Matrix
    directions: Matrix

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns that `measure` returns."""
        words = (OUT_OF_VOCABULARY,) if self.vocabulary else ()
        if not len(self.mean):
            return words
        return (*words, EMBEDDING_DISTANCE, *(f"embedding_{index + 1}" for index in range(len(self.directions))))

    def measure(self, texts: Sequence[str], *, embeddings: Matrix | None = None) -> pd.DataFrame:
        """Return one row per text: share of unknown words, distance of its embedding from the mean, projections.

        Columns that cannot be measured (no vocabulary, no embeddings) are omitted; a text without words has NaN.
        """
        measured: dict[str, Any] = {}
        if self.vocabulary:
            measured[OUT_OF_VOCABULARY] = unknown_shares(texts, vocabulary=self.vocabulary)
        if embeddings is not None and len(self.mean):
            matrix = np.asarray(embeddings, dtype=np.float64)
            if matrix.shape[1:] != self.mean.shape:
                raise InputError(
                    f"invalid embeddings of shape {matrix.shape[1:]} per text: the profile has {self.mean.shape}, "
                    "it was made with another encoder"
                )
            centered = matrix - self.mean
            measured[EMBEDDING_DISTANCE] = np.linalg.norm(centered, axis=1)
            for index, direction in enumerate(self.directions):
                measured[f"embedding_{index + 1}"] = centered @ direction
        return pd.DataFrame(measured, index=range(len(texts)))

    def write(self, folder: Path) -> None:
        """Write `vocabulary.parquet` and `directions.parquet`."""
        write_parquet(folder / "vocabulary.parquet", pd.DataFrame({"word": pd.array(self.vocabulary, dtype="string")}))
        rows = np.vstack([self.mean[None, :], self.directions]) if len(self.mean) else np.empty((0, 0))
        frame = pd.DataFrame(rows.T, columns=[f"d{index}" for index in range(len(rows))], dtype=np.float64)
        write_parquet(folder / "directions.parquet", frame)

    @classmethod
    def read(cls, folder: Path) -> "TextMeasure":
        """Return the measure that `write` wrote."""
        words = pd.read_parquet(folder / "vocabulary.parquet")["word"]
        rows = pd.read_parquet(folder / "directions.parquet").to_numpy(dtype=np.float64).T
        if not len(rows):
            return cls(vocabulary=tuple(words), mean=np.empty(0), directions=np.empty((0, 0)))
        return cls(vocabulary=tuple(words), mean=rows[0], directions=rows[1:])


def fit_text(
    texts: Sequence[str], *, embeddings: Matrix | None, max_words: int, min_texts: int, directions: int
) -> TextMeasure:
    """Return the measure of a reference: words in at least `min_texts` texts, and principal directions."""
    mean, axes = np.empty(0), np.empty((0, 0))
    if embeddings is not None and len(embeddings) > 1:
        matrix = np.asarray(embeddings, dtype=np.float64)
        mean = matrix.mean(axis=0)
        _, _, rows = np.linalg.svd(np.cov(matrix - mean, rowvar=False), hermitian=True)
        axes = rows[:directions]
        largest = np.abs(axes).argmax(axis=1)
        axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]  # the sign of a direction is arbitrary
    return TextMeasure(
        vocabulary=frequent_words(texts, most=max_words, min_texts=min_texts),
        mean=np.round(mean, 6),
        directions=np.round(axes, 6),
    )


def frequent_words(texts: Sequence[str], *, most: int, min_texts: int) -> tuple[str, ...]:
    """Return the words in the most texts, each in at least `min_texts`, sorted."""
    import polars as pl

    ranked = (
        _words(texts)
        .unique()
        .group_by("word")
        .agg(texts=pl.len())
        .filter(pl.col("texts") >= min_texts)
        .sort(["texts", "word"], descending=[True, False])
        .head(most)
    )
    return tuple(sorted(ranked["word"].to_list()))


def unknown_shares(texts: Sequence[str], *, vocabulary: Sequence[str]) -> Matrix:
    """Return the share of each text's words that are not in the vocabulary; NaN for a text without words."""
    import polars as pl

    found = (
        _words(texts)
        .with_columns(unknown=~pl.col("word").is_in(pl.Series(list(vocabulary), dtype=pl.String).implode()))
        .group_by("text")
        .agg(share=pl.col("unknown").mean())
    )
    shares = np.full(len(texts), np.nan)
    shares[found["text"].to_numpy()] = found["share"].to_numpy()
    return shares


def _words(texts: Sequence[str]) -> Any:
    """Return every word of every text in lower case: columns `text` (position) and `word`."""
    import polars as pl

    frame = pl.DataFrame({"text": np.arange(len(texts)), "word": pl.Series([str(t) for t in texts], dtype=pl.String)})
    split = frame.with_columns(pl.col("word").str.to_lowercase().str.extract_all(WORD))
    return split.explode("word", empty_as_null=True, keep_nulls=True).drop_nulls("word")


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame atomically; the bytes depend only on its values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())
