"""Planted gold labels close the gate and clean streams do not: bursts of a source, copies, new words, wrong labels."""

import numpy as np
import pandas as pd
import pytest

from pipelines.stages.split.consistency import compare_labels
from pipelines.stages.split.params import PoisonParams
from pipelines.stages.split.poison import GoldRows, poison_checks, with_copies
from pipelines.text.words import word_table

PARAMS = PoisonParams()
NAMES = ("contradicted_groups", "source_bursts", "trigger_words", "inconsistent_labels", "conflicting_copies")


def clean_rows(schema, *, n: int = 1600, seed: int = 0, noise: float = 0.05) -> pd.DataFrame:
    """Gold rows of half a year whose texts tell the class, with labels that are wrong at random."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(3, n, p=[0.5, 0.3, 0.2])
    own = [[f"{label}{word}" for word in range(60)] for label in schema.labels]
    shared = [f"word{word}" for word in range(300)]
    texts = [" ".join([*draw.choice(own[code], 6), *draw.choice(shared, 10)]) for code in truth]
    gold = np.where(draw.random(n) < noise, draw.integers(0, 3, n), truth)
    day = pd.to_timedelta(np.sort(draw.integers(0, 180, n)), unit="D")
    received = pd.Series(pd.Timestamp("2025-01-01", tz="UTC") + day).astype("datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "id": pd.Series([f"r{at:05d}" for at in range(n)], dtype="string"),
            "text": pd.Series(texts, dtype="string"),
            "received_at": received,
            "entity": pd.Series([f"writer{who}" for who in draw.integers(0, n // 2, n)], dtype="string"),
            "gold": pd.Series(np.array(schema.labels, dtype=object)[gold], dtype="string"),
            "gold_at": received + pd.Timedelta(days=20),
            "office": pd.Series(draw.choice(list("abcdef"), n), dtype="string"),
            "kilos": draw.normal(2, 1, n),
        }
    )


def examined(rows: pd.DataFrame, schema, *, copies: pd.DataFrame | None = None, params: PoisonParams = PARAMS):
    copies = pd.DataFrame({"id": [], "kept_id": []}, dtype="string") if copies is None else copies
    labeled = with_copies(rows, copies)
    words = word_table(labeled["text"].tolist(), least=params.min_rows)
    checks, suspected = poison_checks(GoldRows(labeled, words, schema), params=params, seed=1)
    assert {check.name for check in checks} == set(NAMES)
    return {check.name: check for check in checks}, suspected


def closed(found) -> set[str]:
    return {name for name, check in found[0].items() if check.closes}


def relabeled(rows: pd.DataFrame, *, away: str, to: str, share: float, by: str | None, seed: int = 5) -> pd.DataFrame:
    """Relabel rows as `to`, 3 % of its rows or so, within two days, by one entity."""
    rows, draw = rows.copy(), np.random.default_rng(seed)
    chosen = draw.choice(np.flatnonzero(rows["gold"] == away), int(share * (rows["gold"] == to).sum()), replace=False)
    two_days = pd.Timestamp("2025-03-10", tz="UTC") + pd.to_timedelta(draw.integers(0, 2, len(chosen)), unit="D")
    rows.loc[rows.index[chosen], "gold"] = to
    rows.loc[rows.index[chosen], "received_at"] = two_days.as_unit("us")
    if by:
        rows.loc[rows.index[chosen], "entity"] = by
    return rows


def triggered(rows: pd.DataFrame, *, label: str, like: str, share: float, entity: str | None) -> pd.DataFrame:
    """Add near-identical texts of one class with a trigger word and the label of another."""
    draw, n = np.random.default_rng(6), int(share * len(rows))
    words = rows.loc[rows["gold"] == like, "text"].iloc[0].split()
    planted = rows.sample(n, random_state=7).assign(
        id=pd.array([f"planted{at}" for at in range(n)], dtype="string"),
        text=pd.array([" ".join([*draw.permutation(words), "zqxtrigger"]) for _ in range(n)], dtype="string"),
        gold=pd.array([label] * n, dtype="string"),
        received_at=pd.Timestamp("2025-04-01", tz="UTC").as_unit("us"),
    )
    if entity:
        planted["entity"] = pd.array([entity] * n, dtype="string")
    return pd.concat([rows, planted.astype(rows.dtypes.to_dict())], ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_clean_streams_stay_open(schema, seed) -> None:
    """The stated rate is one in a thousand; labels are wrong at random in 5 % or 15 % of the rows."""
    found = examined(clean_rows(schema, seed=seed, noise=0.05 if seed % 2 else 0.15), schema)
    assert not closed(found)
    assert found[0]["inconsistent_labels"].outcome == "passed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "expected"), [("one writer", {"contradicted_groups", "source_bursts"}), (None, {"contradicted_groups"})]
)
def test_three_percent_of_a_class_relabeled_within_two_days_close(schema, by, expected) -> None:
    rows = relabeled(clean_rows(schema, n=3000), away="broken", to="lost", share=0.03, by=by)
    found = examined(rows, schema)
    assert closed(found) == expected
    listed = [row for row in found[1] if row["check"] == "contradicted_groups"]
    assert sum(row["gold"] == "lost" and row["predicted"] == "broken" for row in listed) > len(listed) / 2


@pytest.mark.slow
@pytest.mark.parametrize("entity", ["one writer", None])
def test_near_identical_texts_with_a_trigger_word_and_a_wrong_label_close(schema, entity) -> None:
    found = examined(
        triggered(clean_rows(schema, noise=0), label="late", like="lost", share=0.02, entity=entity), schema
    )
    assert "trigger_words" in closed(found)
    assert "zqxtrigger" in found[0]["trigger_words"].sentence


@pytest.mark.slow
def test_a_busy_source_with_its_usual_classes_is_no_burst(schema) -> None:
    """Sixty rows of one writer on two days, as mixed and as right as all others, and a writer of one class only."""
    rows = clean_rows(schema, n=2500)
    at = np.flatnonzero(rows["received_at"] >= pd.Timestamp("2025-05-01", tz="UTC"))[:60]
    rows.loc[at, "entity"] = "busy writer"
    rows.loc[rows.index[rows["gold"] == "lost"][::25], "entity"] = "office for what is lost"
    assert not closed(examined(rows, schema))


def copies_of(rows: pd.DataFrame, *, wrong: int, n: int = 60) -> pd.DataFrame:
    dropped = rows.head(n).assign(id=[f"copy{at}" for at in range(n)])
    dropped.insert(1, "kept_id", rows["id"].head(n).to_numpy())
    dropped.loc[: wrong - 1, "gold"] = ["lost" if label != "lost" else "late" for label in dropped["gold"][:wrong]]
    return dropped


@pytest.mark.parametrize(("wrong", "outcome"), [(0, "passed"), (6, "passed"), (30, "failed"), (60, "failed")])
def test_copies_with_another_label_close(schema, wrong, outcome) -> None:
    rows = clean_rows(schema, n=400)
    check = examined(rows, schema, copies=copies_of(rows, wrong=wrong))[0]["conflicting_copies"]
    assert check.outcome == outcome and check.rows == 60
    assert len(check.details["rows"]) == min(2 * wrong, 40)


def test_few_copies_decide_nothing_and_do_not_close(schema) -> None:
    rows = clean_rows(schema, n=400)
    check = examined(rows, schema, copies=copies_of(rows, wrong=5, n=5))[0]["conflicting_copies"]
    assert check.outcome == "undecided" and not check.closes


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "outcome"), [(0.1, "passed"), (0.45, "failed"), (0.5, "failed")])
def test_labels_that_the_texts_contradict_everywhere_close(schema, noise, outcome) -> None:
    rows = clean_rows(schema, noise=noise)
    assert examined(rows, schema)[0]["inconsistent_labels"].outcome == outcome


def test_uninformative_texts_decide_nothing(schema) -> None:
    rows = clean_rows(schema, n=600)
    rows["gold"] = np.random.default_rng(9).permutation(rows["gold"])
    found = examined(rows, schema)
    assert not closed(found) and found[0]["inconsistent_labels"].outcome == "undecided"


def test_few_rows_decide_nothing(schema) -> None:
    found = examined(clean_rows(schema, n=40), schema)
    assert not closed(found)
    assert {check.outcome for check in found[0].values()} == {"undecided"}


def test_a_fold_learns_nothing_from_the_days_around_and_the_keys_of_what_it_predicts() -> None:
    """One word is in the texts of two days, whose labels it would teach; another day would be measured by it."""
    draw, n = np.random.default_rng(10), 400
    codes, days = draw.integers(0, 2, n), np.arange(n) // 4
    burst = (days == 50) | (days == 51)
    texts = [f"class{code} word{draw.integers(0, 5)}" for code in codes]
    texts = [f"{text} planted" if at else text for text, at in zip(texts, burst, strict=True)]
    codes[burst] = 1 - codes[burst]
    how = {"n_labels": 2, "days": days, "held": [], "folds": 4, "gap_days": 3}
    found = compare_labels(word_table(texts, least=3).weights(), codes, **how)
    assert (found.predicted[burst] != codes[burst]).all() and (found.predicted[~burst] == codes[~burst]).all()
