"""Which text has which word: the table that checks of texts read, made once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.text.scripts import UNSPACED

WORD = rf"[{UNSPACED}]|(?:(?![{UNSPACED}])\w)+"  # in scripts without spaces each character is a word


@dataclass(frozen=True)
class WordTable:
    """Words and phrases of two words, and which text has which."""

    names: NDArray[np.object_]
    present: Any  # csr (texts, words) of 0 and 1

    def rows(self, chosen: slice | NDArray[Any]) -> WordTable:
        """Return the table of some of the texts."""
        return WordTable(self.names, self.present[chosen])

    def often(self, least: int) -> WordTable:
        """Return the words that are in at least `least` of the texts."""
        kept = np.flatnonzero(np.asarray(self.present.sum(axis=0)).ravel() >= least)
        return WordTable(self.names[kept], self.present[:, kept])

    def weights(self) -> Any:
        """Return the single words weighed by how rare they are, each text of length 1, csr (texts, words)."""
        from sklearn.feature_extraction.text import TfidfTransformer

        single = np.array([" " not in name for name in self.names], dtype=bool)
        if not single.any() or not self.present.shape[0]:
            return self.present[:, :0].astype(np.float64)
        return TfidfTransformer().fit_transform(self.present[:, np.flatnonzero(single)].astype(np.float64))


def word_table(texts: Sequence[str], *, least: int) -> WordTable:
    """Return the words and phrases that at least `least` texts have; an empty table where there are none."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    words = CountVectorizer(ngram_range=(1, 2), token_pattern=WORD, min_df=least, binary=True, dtype=np.int64)
    try:
        if len(texts) < least:
            raise ValueError("fewer texts than a word must be in")
        present = csr_array(words.fit_transform(texts))
    except ValueError:  # of scikit-learn, where no word is in that many texts
        return WordTable(np.array([], dtype=object), csr_array((len(texts), 0), dtype=np.int64))
    return WordTable(words.get_feature_names_out(), present)
