"""The probe finds what texts tell about a group, and nothing where they tell nothing."""

import numpy as np
import pytest

from pipelines.text.attribute_probe import area, auc_interval, probe_attribute


def texts_of(group: np.ndarray, *, share: float, form: str = "{age}/{race}/{sex}", seed: int = 0) -> list[str]:
    """Return texts of shared words, of which `share` hold a token such as 34/W/F."""
    draw = np.random.default_rng(seed)
    texts = []
    for code in group:
        words = [f"word{word}" for word in draw.integers(0, 200, 12)]
        words = [word.replace("word", "w") + "x" for word in words]
        if draw.random() < share:
            race = "W" if draw.random() < 0.5 else "B"
            words.insert(5, form.format(age=draw.integers(18, 80), race=race, sex="F" if code == 1 else "M"))
        texts.append(" ".join(words))
    return texts


def probed(texts: list[str], group: np.ndarray, *, owners: list[str] | None = None, **how):
    owners = owners or [f"r{place}" for place in range(len(texts))]
    how = {"max_rows": 4000, "min_group_rows": 100, "seed": 1} | how
    return probe_attribute(texts, group, owners, **how)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["{age}/{race}/{sex}", "{race}/{sex}", "({age}{sex})", "{age} {sex}"])
def test_a_token_in_three_quarters_of_the_texts_is_found_and_named(form) -> None:
    group = np.random.default_rng(2).integers(0, 2, 1200)
    found = probed(texts_of(group, share=0.75, form=form), group)
    assert found.interval[0] > 0.8
    sides = {
        side: " ".join(term["term"] for term in found.terms if term["side"] == side) for side in ("member", "rest")
    }
    assert "f" in sides["member"].replace("/", " ").split() and "m" in sides["rest"].replace("/", " ").split()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_uninformative_texts_are_near_one_half(seed) -> None:
    group = np.random.default_rng(seed).integers(0, 2, 1000)
    found = probed(texts_of(np.zeros(1000, dtype=int), share=0.75, seed=seed), group)
    assert 0.42 < found.auc < 0.58


@pytest.mark.slow
def test_texts_of_one_owner_do_not_predict_each_other() -> None:
    """Each owner has one group and one private word: random folds would know the owner."""
    owner = np.repeat(np.arange(150), 8)
    group = np.random.default_rng(3).integers(0, 2, 150)[owner]
    texts = [f"private{chr(97 + who // 26 % 26)}{chr(97 + who % 26)} word" for who in owner]
    assert 0.35 < probed(texts, group, owners=[f"o{who}" for who in owner]).auc < 0.65


def test_a_small_group_and_unknown_rows_are_undecided() -> None:
    group = np.array([1] * 20 + [0] * 300 + [-1] * 50)
    found = probed(["text"] * 370, group)
    assert np.isnan(found.auc) and found.rows == 320 and found.members == 20
    assert found.as_dict()["auc"] is None


def test_the_number_of_texts_is_limited() -> None:
    group = np.random.default_rng(4).integers(0, 2, 900)
    assert probed(texts_of(group, share=1.0), group, max_rows=500).rows == 500


def test_the_interval_is_that_of_hanley_and_mcneil() -> None:
    """Their standard error for an area of 0.7 and 50 rows in each group is 0.0525, by the formula of their table."""
    low, high = auc_interval(0.7, 50, 50)
    assert (high - low) / 2 / 1.959964 == pytest.approx(0.0525, abs=0.0015)
    assert np.isnan(area(np.zeros(3), np.ones(3, dtype=int)))


@pytest.mark.slow
def test_a_rare_word_among_many_is_learned() -> None:
    """Long texts make every gradient small: a fit with a coarse tolerance would stop before its first step."""
    draw = np.random.default_rng(5)
    group = (draw.random(1500) < 0.14).astype(int)
    texts = [" ".join(f"{chr(97 + a)}{chr(97 + b)}" for a, b in draw.integers(0, 26, (150, 2))) for _ in group]
    texts = [
        f"{text} veteran" if code and draw.random() < 0.8 else text for text, code in zip(texts, group, strict=True)
    ]
    assert probed(texts, group).auc > 0.75
