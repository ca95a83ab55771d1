"""A linear model on words: TF-IDF of word n-grams, and beside them a dense vector, into one logit a label.

The transform equals scikit-learn's TfidfVectorizer(sublinear_tf=True, ngram_range=(1, n)); it is kept here so that a
model is a vocabulary in JSON and numbers in safetensors, with no pickle.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\b\w\w+\b")
VOCABULARY_FILE, WEIGHTS_FILE = "vocabulary.json", "linear.safetensors"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vocabulary:
    """The terms that count, each with its inverse document frequency."""

    terms: dict[str, int]
    idf: Floats
    ngrams: int
    max_characters: int

    @classmethod
    def fit(
        cls, texts: Sequence[str], *, ngrams: int, min_records: int, max_terms: int, max_characters: int
    ) -> Vocabulary:
        """The `max_terms` most widespread terms of at least `min_records` texts; ties go by the alphabet."""
        spread: Counter[str] = Counter()
        for text in texts:
            spread.update(set(terms_of(text[:max_characters], ngrams=ngrams)))
        known = sorted((-n, term) for term, n in spread.items() if n >= min_records)[:max_terms]
        kept = sorted(term for _, term in known)
        counts = np.array([spread[term] for term in kept], dtype=np.float64)
        idf = np.log((1.0 + len(texts)) / (1.0 + counts)) + 1.0  # scikit-learn's smooth_idf
        return cls({term: index for index, term in enumerate(kept)}, idf, ngrams, max_characters)

    def transform(self, texts: Sequence[str]) -> Any:
        """A sparse row a text: (1 + ln tf) idf, then Euclidean length 1; a text without known terms is all zero."""
        from scipy.sparse import csr_array

        columns: list[int] = []
        values: list[int] = []
        ends = [0]
        for text in texts:
            found = Counter(
                index
                for term in terms_of(text[: self.max_characters], ngrams=self.ngrams)
                if (index := self.terms.get(term)) is not None
            )
            for index in sorted(found):
                columns.append(index)
                values.append(found[index])
            ends.append(len(columns))
        starts = np.array(ends, dtype=np.int64)
        column = np.array(columns, dtype=np.int64)
        data = (1.0 + np.log(np.array(values, dtype=np.float64))) * self.idf[column]
        row = np.repeat(np.arange(len(texts)), np.diff(starts))
        norm = np.sqrt(np.bincount(row, weights=data**2, minlength=len(texts)))
        return csr_array((data / norm[row], column, starts), shape=(len(texts), len(self.terms)))


def terms_of(text: str, *, ngrams: int) -> Iterator[str]:
    """Words of two or more characters, lowered, and their runs of up to `ngrams` words."""
    words = WORD.findall(text.lower())
    yield from words
    for n in range(2, ngrams + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


@dataclass(frozen=True)
class LinearModel:
    """Logits of words and, where it was trained with them, of the encoder's vectors."""

    vocabulary: Vocabulary
    word_weights: Floats  # terms x labels
    vector_weights: Floats  # width x labels; no rows without vectors
    intercept: Floats

    def logits(self, texts: Sequence[str], vectors: NDArray[Any]) -> Floats:
        """One logit a label for every text; `vectors` are the encoder's, scaled by `unit_length`."""
        scores = self.vocabulary.transform(texts) @ self.word_weights + self.intercept
        return np.asarray(scores + vectors @ self.vector_weights if len(self.vector_weights) else scores)

    def save(self, folder: Path) -> None:
        """Write the vocabulary as JSON and the numbers as safetensors."""
        from safetensors.numpy import save

        vocabulary = {
            "ngrams": self.vocabulary.ngrams,
            "max_characters": self.vocabulary.max_characters,
            "terms": list(self.vocabulary.terms),
        }
        (folder / VOCABULARY_FILE).write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n", encoding="utf-8")
        arrays = {
            "idf": self.vocabulary.idf,
            "word_weights": self.word_weights,
            "vector_weights": self.vector_weights,
            "intercept": self.intercept,
        }
        plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        (folder / WEIGHTS_FILE).write_bytes(save(plain))

    @classmethod
    def load(cls, folder: Path) -> LinearModel:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        stated = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
        arrays = load_file(folder / WEIGHTS_FILE)
        terms = {term: index for index, term in enumerate(stated["terms"])}
        vocabulary = Vocabulary(terms, arrays["idf"], stated["ngrams"], stated["max_characters"])
        return cls(vocabulary, arrays["word_weights"], arrays["vector_weights"], arrays["intercept"])


def unit_length(vectors: NDArray[Any]) -> Floats:
    """Rows scaled to Euclidean length 1, as the words' rows are; a zero row stays zero."""
    wide = np.asarray(vectors, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
