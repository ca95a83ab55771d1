"""A linear model on TF-IDF of word n-grams and, optionally, a dense vector, with one logit per label.

The transform equals scikit-learn's TfidfVectorizer(sublinear_tf=True, ngram_range=(1, n)) on words; in scripts without
spaces pairs of characters take the place of words. It is implemented here so
that a model is a vocabulary in JSON and numbers in safetensors, without a pickle.
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
    """The terms of the model, each with its inverse document frequency."""

    terms: dict[str, int]
    idf: Floats
    ngrams: int
    max_characters: int
    unspaced: str = ""  # letters of the texts' scripts without spaces, as the inside of a character class

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        *,
        ngrams: int,
        min_records: int,
        max_terms: int,
        max_characters: int,
        unspaced: str = "",
    ) -> Vocabulary:
        """Keep the `max_terms` terms of most texts, each in at least `min_records`; ties in alphabetical order."""
        n_texts: Counter[str] = Counter()
        for text in texts:
            n_texts.update(set(terms_of(text[:max_characters], ngrams=ngrams, unspaced=unspaced)))
        known = sorted((-n, term) for term, n in n_texts.items() if n >= min_records)[:max_terms]
        kept = sorted(term for _, term in known)
        counts = np.array([n_texts[term] for term in kept], dtype=np.float64)
        idf = np.log((1.0 + len(texts)) / (1.0 + counts)) + 1.0  # scikit-learn's smooth_idf
        return cls({term: index for index, term in enumerate(kept)}, idf, ngrams, max_characters, unspaced)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return a sparse row per text, (n, terms): (1 + ln tf) idf, scaled to Euclidean length 1; zero without known
        terms.
        """
        from scipy.sparse import csr_array

        columns: list[int] = []
        values: list[int] = []
        ends = [0]
        for text in texts:
            found = Counter(
                index
                for term in terms_of(text[: self.max_characters], ngrams=self.ngrams, unspaced=self.unspaced)
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


def terms_of(text: str, *, ngrams: int, unspaced: str = "") -> Iterator[str]:
    """Yield words of two or more characters in lower case, and their n-grams of up to `ngrams` words.

    Of the letters `unspaced`, those of scripts without spaces, each pair of neighbors is a word.
    """
    words = WORD.findall(text.lower())
    if unspaced and not text.isascii():
        words = [part for word in words for part in _parts(word, unspaced)]
    yield from words
    for n in range(2, ngrams + 1):
        for start in range(len(words) - n + 1):
            yield " ".join(words[start : start + n])


def _parts(word: str, unspaced: str) -> Iterator[str]:
    for match in re.finditer(rf"([{unspaced}]+)|[^{unspaced}]+", word):  # re keeps compiled patterns
        part = match[0]
        if match[1] is None:
            yield from (part,) if len(part) > 1 else ()
        else:
            yield from (part[at : at + 2] for at in range(max(len(part) - 1, 1)))


@dataclass(frozen=True)
class LinearModel:
    """Computes logits from words and, if it was trained with them, from the encoder's vectors."""

    vocabulary: Vocabulary
    word_weights: Floats  # (terms, labels)
    vector_weights: Floats  # (width, labels); no rows without vectors
    intercept: Floats

    def logits(self, texts: Sequence[str], vectors: NDArray[Any]) -> Floats:
        """Return one logit per label for every text, (n, labels); `vectors` are the encoder's, scaled by
        `unit_length`.
        """
        scores = self.vocabulary.transform(texts) @ self.word_weights + self.intercept
        return np.asarray(scores + vectors @ self.vector_weights if len(self.vector_weights) else scores)

    def save(self, folder: Path) -> None:
        """Write the vocabulary as JSON and the numbers as safetensors."""
        from safetensors.numpy import save

        vocabulary = {
            "ngrams": self.vocabulary.ngrams,
            "max_characters": self.vocabulary.max_characters,
            "terms": list(self.vocabulary.terms),
        } | ({"unspaced": self.vocabulary.unspaced} if self.vocabulary.unspaced else {})
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

        content = json.loads((folder / VOCABULARY_FILE).read_text(encoding="utf-8"))
        arrays = load_file(folder / WEIGHTS_FILE)
        terms = {term: index for index, term in enumerate(content["terms"])}
        vocabulary = Vocabulary(
            terms, arrays["idf"], content["ngrams"], content["max_characters"], content.get("unspaced", "")
        )
        return cls(vocabulary, arrays["word_weights"], arrays["vector_weights"], arrays["intercept"])


def unit_length(vectors: NDArray[Any]) -> Floats:
    """Return rows scaled to Euclidean length 1, as the words' rows are; a zero row stays zero."""
    wide = np.asarray(vectors, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
