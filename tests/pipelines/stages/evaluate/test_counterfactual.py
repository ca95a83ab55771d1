"""Words that reveal a group are exchanged, and answers that follow them are counted."""

import numpy as np
import pandas as pd
import pytest

from pipelines.stages.evaluate.counterfactual import count_changes, counterfactual_checks, exchange
from tests.factories.shop import LABELS, SCHEMA

PROBE = {
    "interval": [0.8, 0.9],
    "terms": [
        {"term": "w/f", "side": "member"},
        {"term": "mrs smith", "side": "member"},
        {"term": "w/m", "side": "rest"},
    ],
}


class Reader:
    """Answer by one word of the text."""

    labels = LABELS

    def __init__(self, word: str, *, share: float = 1.0) -> None:
        self.word, self.share = word, share

    def predict_proba(self, records: pd.DataFrame) -> np.ndarray:
        follows = records["text"].str.contains(self.word, regex=False).to_numpy(dtype=bool)
        follows &= np.arange(len(records)) < self.share * len(records)
        return np.eye(len(LABELS))[follows.astype(int)]


def rows_of(n: int = 120) -> pd.DataFrame:
    group = np.arange(n) % 2
    texts = [f"the caller 34/{'W/F' if code else 'W/M'} waits number {place}" for place, code in enumerate(group)]
    return pd.DataFrame(
        {
            "text": pd.array(texts, dtype="string"),
            "senior": pd.array(group, dtype="Int8"),
            "channel": "web",
            "amount": 1.0,
        }
    )


def counted(reader: Reader, rows: pd.DataFrame, probe=PROBE):
    answers = [LABELS[code] for code in reader.predict_proba(rows).argmax(axis=1)]
    return count_changes(reader, rows, answers, {"senior": probe}, schema=SCHEMA)


def checked(found, *, limit: float | None = 0.1):
    return counterfactual_checks(found, limit=limit, min_rows=50, schema=SCHEMA)


def test_terms_are_exchanged_in_order_and_the_rest_is_removed() -> None:
    away, to = ["w/f", "mrs smith"], ["w/m"]
    assert exchange("34/W/F called Mrs. Smith", away=away, to=to) == "34/w/m called "
    assert exchange("a newf and w/fa", away=away, to=to) == "a newf and w/fa"
    assert exchange("nothing", away=[], to=to) == "nothing"


def test_a_model_that_ignores_the_words_passes() -> None:
    found = counted(Reader("waits"), rows_of())
    assert found["senior"]["all"] | {"interval": None} == {"changed": 0, "rows": 120, "share": 0.0, "interval": None}
    assert [check.outcome for check in checked(found)] == ["passed"]
    assert checked(found, limit=None) == []


@pytest.mark.parametrize(("word", "member"), [("W/F", 60), ("W/M", 0)])
def test_a_model_that_reads_the_words_closes(word, member) -> None:
    found = counted(Reader(word), rows_of())
    assert found["senior"]["member"]["changed"] == member
    assert checked(found)[0].closes


def test_only_an_attribute_that_the_texts_reveal_is_tested() -> None:
    assert counted(Reader("W/F"), rows_of(), probe=PROBE | {"interval": [0.45, 0.6]}) == {}
    assert counted(Reader("W/F"), rows_of(), probe=PROBE | {"interval": None}) == {}


def test_too_few_changed_texts_do_not_close() -> None:
    check = checked(counted(Reader("W/F"), rows_of(12)))[0]
    assert check.outcome == "undecided" and not check.closes
