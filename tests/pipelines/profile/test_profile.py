"""The drift profile: what it holds, how it is kept, whom it refuses."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from pipelines.profile.freeze import ProfileParams, build_profile
from pipelines.profile.profile import Profile
from pipelines.profile.text_measure import TextMeasure, fit_text, unknown_shares
from pipelines.runtime.errors import InputError

START, END = date(2026, 1, 5), date(2026, 1, 19)
PARAMS = ProfileParams(bins=4, max_categories=3, max_words=50, min_texts=2, directions=2)


def reference(n: int = 280) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "received_at": pd.date_range(START, periods=n, freq=f"{14 * 86_400 // n}s", tz="UTC"),
            "text": rng.choice(["my card was lost", "the bank lost my card", "", "loan"], n),
            "state": pd.array(rng.choice(["CA", "NY", None], n), dtype="string"),
            "amount": rng.exponential(10, n),
        }
    )


def build(frame: pd.DataFrame, **more) -> Profile:
    given = {
        "start": START,
        "end": END,
        "domain": "toy",
        "model_digest": "a" * 64,
        "categories": ["state"],
        "numbers": ["amount"],
        "labels": ("yes", "no"),
        "params": PARAMS,
    }
    return build_profile(frame, **(given | more))


def test_counts_hold_every_row_of_the_window_once():
    profile = build(reference())
    assert profile.n_weeks == 2 and profile.end == END
    for column in profile.columns:
        assert column.counts.sum() == 280 and column.counts.shape[0] == 14
    assert [column.name for column in profile.columns] == ["state", "amount", "text_length", "out_of_vocabulary"]


def test_write_and_read_give_the_same_profile_and_bytes(tmp_path):
    frame, rng = reference(), np.random.default_rng(1)
    predictions = frame[["received_at"]].assign(
        label="yes", confidence=0.8, gold=np.where(np.arange(280) % 4, "yes", None)
    )
    profile = build(frame, predictions=predictions, embeddings=rng.normal(size=(40, 8)), embedded=np.arange(40))
    profile.write(tmp_path / "one")
    again = Profile.read(tmp_path / "one")
    again.write(tmp_path / "two")
    assert again.digest == profile.digest
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert again.performance is not None and again.performance.rows == 210 and again.performance.right == 210
    assert again.column("embedding_1").counts.sum() == 40


def test_a_profile_with_rare_categories_and_identifiers_is_read_as_written(tmp_path):
    frame = reference().assign(company=[f"c{number % 100}" for number in range(280)], account=[*map(str, range(280))])
    profile = build(frame, categories=["company", "account"])
    profile.write(tmp_path)
    again = Profile.read(tmp_path)
    assert again.digest == profile.digest and again.identifiers == ("account",)
    column = again.column("company")
    assert column.tails is not None and (column.tails == profile.column("company").tails).all()
    for span in (1, 2, 4):
        assert column.comparable(span).shape == (14, len(column.labels)) and column.comparable(span).sum() == 280


def test_a_profile_of_the_earlier_format_is_read(tmp_path):
    now = build(reference())
    old = replace(now, format=1, columns=tuple(replace(column, tails=None) for column in now.columns))
    old.write(tmp_path)
    assert not (tmp_path / "tails.parquet").exists()
    again = Profile.read(tmp_path)
    assert again.format == 1 and again.digest == old.digest
    column = again.column("state")
    assert (column.comparable(1) == column.counts).all()


def test_a_changed_file_is_refused(tmp_path):
    build(reference()).write(tmp_path)
    pd.DataFrame({"word": ["other"]}).to_parquet(tmp_path / "vocabulary.parquet")
    with pytest.raises(InputError, match=r"vocabulary.parquet has digest"):
        Profile.read(tmp_path)


def test_a_folder_without_a_profile_is_refused(tmp_path):
    with pytest.raises(InputError, match="promote writes one"):
        Profile.read(tmp_path)


def test_another_domain_or_model_is_refused():
    profile = build(reference())
    profile.refuse_other(domain="toy", model_digest="a" * 64)
    with pytest.raises(InputError, match="profile of domain 'toy'"):
        profile.refuse_other(domain="mail", model_digest=None)
    with pytest.raises(InputError, match="model aaaaaaaaaaaa used for predictions of model bbbb"):
        profile.refuse_other(domain="toy", model_digest="b" * 64)


@pytest.mark.parametrize("frame", [reference().iloc[:0], None])
def test_an_empty_window_is_refused(frame):
    with pytest.raises(InputError):
        build(reference() if frame is None else frame, **({"end": START} if frame is None else {}))


def test_unknown_words_by_hand():
    shares = unknown_shares(["card bank", "card", "", "zebra card"], vocabulary=["card", "bank"])
    assert shares[:2].tolist() == [0, 0] and np.isnan(shares[2]) and shares[3] == 0.5


def test_characters_are_the_words_of_scripts_without_spaces():
    shares = unknown_shares(["电热水壶", "电热card", "zebra"], vocabulary=["电", "热", "card"])
    assert shares.tolist() == [0.5, 0.0, 1.0]


def test_fresh_texts_hold_no_more_unknown_words_than_the_reference_by_construction():
    rng = np.random.default_rng(3)
    words = np.array(["".join(chr(97 + int(digit)) for digit in f"{i:04d}") for i in range(3000)])
    weights = 1 / np.arange(1, 3001)
    texts = [" ".join(rng.choice(words, 20, p=weights / weights.sum())) for _ in range(3000)]
    frame = reference(1500).assign(text=texts[:1500])
    profile = build(frame, params=PARAMS.model_copy(update={"max_words": 5000}))
    column = profile.column("out_of_vocabulary")
    live = profile.text.measure(texts[1500:])["out_of_vocabulary"]
    assert abs(live.mean() - column.sketch.mean()) < 0.005


def test_directions_have_a_fixed_sign_and_another_encoder_is_refused():
    matrix = np.random.default_rng(0).normal(size=(50, 6)) * [9, 4, 1, 1, 1, 1]
    one = fit_text(["a"] * 50, embeddings=matrix, max_words=0, min_texts=1, directions=2)
    two = fit_text(["a"] * 50, embeddings=matrix[::-1], max_words=0, min_texts=1, directions=2)
    assert np.allclose(one.directions, two.directions, atol=1e-5)
    assert np.abs(one.directions[0]).argmax() == 0
    with pytest.raises(InputError, match="another encoder"):
        one.measure(["a"], embeddings=np.zeros((1, 5)))


def test_no_text_no_text_columns():
    profile = build(reference().drop(columns="text"))
    assert [column.name for column in profile.columns] == ["state", "amount"]
    assert profile.text == TextMeasure((), profile.text.mean, profile.text.directions)
