"""Labeling functions: declarative and plain ones vote alike, and an error names the function, the record and the
cause.
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.records.labeling import (
    LabelingFunctionError,
    cast_votes,
    check_examples,
    expression,
    labeling_function,
    pattern,
    vote_matrix,
)

LABELS = ("spam", "ham")

subscribes = pattern(
    "subscribes", "spam", r"\bsubscribe\b", unless="never subscribe", fires_on="SUBSCRIBE now!", abstains_on="hello"
)
is_long = expression(
    "is_long", "ham", pl.col("n_words") > 5, fires_on={"text": "", "n_words": 9.0}, abstains_on={"n_words": None}
)
by_channel = expression(
    "by_channel",
    None,
    pl.when(pl.col("channel") == "ad").then(pl.lit("spam")).when(pl.col("channel") == "mail").then(pl.lit("ham")),
    fires_on={"channel": "ad"},
    abstains_on={"channel": None},
)
mentions_song = expression(
    "mentions_song",
    "ham",
    lambda frame: frame["text_lower"].str.contains("song", literal=True),
    columns=["text_lower"],
    fires_on="What a SONG",
    abstains_on="What a day",
)


@labeling_function(label="spam", fires_on="http://x", abstains_on="no link")
def has_link(record):
    """A link is an advertisement."""
    return "http" in record["text"]


@labeling_function(label=None, fires_on="!!!", abstains_on="?")
def shouts(record):
    """Three marks are spam, two are ham."""
    marks = record["text"].count("!")
    return {3: "spam", 2: "ham"}.get(marks)


FUNCTIONS = [subscribes, is_long, by_channel, mentions_song, has_link, shouts]


@pytest.fixture
def records():
    return pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "text": ["Subscribe http !!!", "I never subscribe, song!!", ""],
            "n_words": [7.0, np.nan, 2.0],
            "channel": pd.array(["ad", "mail", None], dtype="string"),
            "gold": pd.array(["spam", None, None], dtype="string"),
            "member": pd.array([1, 0, None], dtype="Int8"),
            "received_at": pd.to_datetime(["2025-01-01"] * 3, utc=True),
        }
    )


def test_every_function_fires_on_its_first_example_and_abstains_on_its_second():
    check_examples(FUNCTIONS, labels=LABELS)


def test_a_function_that_raises_on_an_example_names_the_example():
    @labeling_function(label="spam", fires_on="x", abstains_on={"text": "", "channel": "mail"})
    def breaks(record):
        return record["channel"] == "ad"

    with pytest.raises(LabelingFunctionError, match=r"'breaks' failed on example 'fires_on': KeyError: .*'channel'"):
        check_examples([breaks], labels=LABELS)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            pattern("wins", "spam", "winner", fires_on="You win!", abstains_on="hello"),
            "labeling function 'wins' abstains on {'text': 'You win!'}, its fires_on: expected a vote for 'spam'",
        ),
        (
            pattern("wins", "spam", "win", fires_on="You win!", abstains_on="the window"),
            "labeling function 'wins' votes 'spam' on {'text': 'the window'}, its abstains_on",
        ),
        (
            expression("says", None, pl.col("text"), fires_on="egg", abstains_on={"text": None}),
            "labeling function 'says' votes 'egg' on {'text': 'egg'}, its fires_on: expected a vote for 'spam' or 'ham'",
        ),
        (
            labeling_function(label="spam", fires_on="x", abstains_on="")(
                lambda record: "ham" if record["text"] else None
            ),
            "answered 'ham' on example 'fires_on'; right would be True, False, None or 'spam'",
        ),
    ],
)
def test_an_example_that_is_not_kept_to_names_function_example_and_label(function, message):
    with pytest.raises(LabelingFunctionError) as error:
        check_examples([function], labels=LABELS)
    assert message in str(error.value)


def test_votes_are_the_index_of_the_label_and_minus_one(records):
    votes = cast_votes(FUNCTIONS, records, labels=LABELS)
    assert votes.columns.tolist() == ["id", *(function.name for function in FUNCTIONS)]
    assert (votes.dtypes.iloc[1:] == np.int16).all()
    assert votes.iloc[:, 1:].to_numpy().tolist() == [[0, 1, 0, -1, 0, 0], [-1, -1, 1, 1, -1, 1], [-1] * 6]


def test_no_rows_give_an_empty_matrix(records):
    assert vote_matrix(FUNCTIONS, records.head(0), labels=LABELS).shape == (0, 6)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8))
def test_a_pattern_votes_like_the_same_plain_function(texts: list[str]):
    @labeling_function(label="spam", fires_on="a1", abstains_on="")
    def plain(record):
        import re

        return re.search("[a-c][0-9]|song", record["text"].lower()) is not None

    declared = pattern("declared", "spam", "[a-c][0-9]|song", fires_on="a1", abstains_on="")
    records = pd.DataFrame({"id": [str(i) for i in range(len(texts))], "text": texts})
    matrix = vote_matrix([plain, declared], records, labels=LABELS)
    assert (matrix[:, 0] == matrix[:, 1]).all()


def test_what_is_called_one_by_one_votes_as_in_the_matrix(records):
    matrix = vote_matrix(FUNCTIONS, records, labels=LABELS)
    rows = records.astype(object).where(records.notna(), None).to_dict("records")
    for place, function in enumerate(FUNCTIONS):
        assert [function(row) for row in rows] == [LABELS[v] if v >= 0 else None for v in matrix[:, place]]


def test_texts_of_every_kind_are_read(records):
    odd = ["\x00nul\x00", "<b>subscribe</b>", "song " * 2_000_000, "\u202ebidi", "é" * 10]
    records = pd.DataFrame({"id": list("abcde"), "text": odd})
    assert vote_matrix([subscribes, mentions_song, has_link], records, labels=LABELS)[:, :2].tolist() == [
        [-1, -1],
        [0, -1],
        [-1, 1],
        [-1, -1],
        [-1, -1],
    ]


def test_a_function_that_raises_stops_with_its_name_the_record_and_the_exception(records):
    @labeling_function(label="spam", fires_on="", abstains_on="")
    def breaks(record):
        return 1 / len(record["text"]) > 2

    with pytest.raises(LabelingFunctionError, match="'breaks' failed on record 'c': ZeroDivisionError"):
        vote_matrix([subscribes, breaks], records, labels=LABELS)


def test_an_expression_that_fails_is_named_among_others(records):
    broken = expression("broken", "ham", pl.col("channel") + 1 > 2, fires_on="", abstains_on="")
    with pytest.raises(LabelingFunctionError, match="'broken' failed"):
        vote_matrix([subscribes, broken, is_long], records, labels=LABELS)


def test_gold_is_hidden_from_labeling_functions(records):
    @labeling_function(label=None, fires_on="", abstains_on="")
    def cheats(record):
        return record["gold"]

    with pytest.raises(LabelingFunctionError, match="no field 'gold': expected one of channel, id"):
        vote_matrix([cheats], records, labels=LABELS)
    declared = expression("declared", None, pl.col("gold"), fires_on="", abstains_on="")
    with pytest.raises(LabelingFunctionError, match="'declared' reads column 'gold'; a record has: "):
        vote_matrix([declared], records, labels=LABELS)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ([], "no labeling functions"),
        ([subscribes, subscribes], "one name: subscribes"),
        (
            [pattern("odd", "egg", "a", fires_on="a", abstains_on="")],
            "'odd' votes 'egg'; the domain's labels are: spam",
        ),
        ([expression("odd", None, pl.lit("egg"), fires_on="", abstains_on="")], "'odd' votes 'egg'"),
        (
            [labeling_function(label=None, fires_on="", abstains_on="")(lambda record: "egg")],
            "votes 'egg' on record 'a'",
        ),
        ([labeling_function(label="spam", fires_on="", abstains_on="")(lambda record: "ham")], "right would be True"),
        ([labeling_function(label=None, fires_on="", abstains_on="")(lambda record: True)], "a label name or None"),
    ],
)
def test_wrong_declarations_and_votes_are_refused(records, functions, message):
    with pytest.raises(LabelingFunctionError, match=message):
        vote_matrix(functions, records, labels=LABELS)


@pytest.mark.parametrize(
    ("regex", "message"),
    [("(", "is not a valid regular expression"), ("Refund", "capital letters"), ("(?=a)", "is not a valid regular")],
)
def test_a_regex_that_cannot_match_lowered_text_is_refused_where_it_is_written(regex, message):
    with pytest.raises(LabelingFunctionError, match=message):
        pattern("p", "spam", regex, fires_on="", abstains_on="")


def test_escapes_and_groups_with_capital_letters_are_allowed():
    assert pattern("p", "spam", r"\bA?\B|(?P<Name>\S)".replace("A?", ""), fires_on="x", abstains_on="")("x") == "spam"
