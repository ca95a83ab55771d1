"""The linear model on words, compared with scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pipelines.models.linear import LinearModel, Vocabulary, terms_of
from pipelines.stages.baseline.linear import fit_softmax, fold_of
from pipelines.text.scripts import UNSPACED

TEXTS = ["My card, my card!", "a LOAN from the bank", "the bank closed the account", "", "card fee of the bank"]


def vocabulary(texts=TEXTS, **parameters):
    return Vocabulary.fit(
        texts, **{"ngrams": 2, "min_records": 1, "max_terms": 100, "max_characters": 1000, **parameters}
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="abc éß.1 X", max_size=30), min_size=1, max_size=8))
def test_the_transform_is_that_of_scikit_learn(texts):
    ours = vocabulary([*TEXTS, *texts])
    theirs = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit([*TEXTS, *texts])
    assert dict(theirs.vocabulary_) == ours.terms
    np.testing.assert_allclose(ours.transform(texts).toarray(), theirs.transform(texts).toarray(), atol=1e-12)


def test_softmax_is_logistic_regression_of_scikit_learn():
    generator = np.random.default_rng(0)
    from scipy.sparse import csr_array

    words, labels = (
        csr_array(generator.random((60, 8)) * (generator.random((60, 8)) < 0.5)),
        generator.integers(0, 3, 60),
    )
    weights = generator.random(60) + 0.5
    first, _, bias = fit_softmax(
        words, np.zeros((60, 0)), targets=np.eye(3)[labels], weights=weights, strength=2.0, max_iterations=500
    )
    theirs = LogisticRegression(C=2.0, max_iter=1000, tol=1e-8).fit(words, labels, sample_weight=weights)
    np.testing.assert_allclose(first.T, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(bias - bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)


def test_a_saved_model_gives_the_same_logits(tmp_path):
    generator = np.random.default_rng(0)
    words = vocabulary()
    model = LinearModel(words, generator.random((len(words.terms), 2)), np.zeros((0, 2)), np.ones(2))
    model.save(tmp_path)
    again = LinearModel.load(tmp_path)
    vectors = np.zeros((len(TEXTS), 4))
    np.testing.assert_array_equal(model.logits(TEXTS, vectors), again.logits(TEXTS, vectors))
    np.testing.assert_array_equal(model.logits([""], vectors[:1]), [[1.0, 1.0]])


@given(st.integers(2, 200), st.integers(2, 10), st.integers(0, 5))
def test_folds_are_even_and_cover_every_row(n, folds, seed):
    sizes = np.bincount(fold_of(n, folds=folds, seed=seed), minlength=folds)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1


def test_a_domain_without_text_has_no_terms():
    assert vocabulary(["", ""]).transform(["", "x"]).shape == (2, 0)
    assert vocabulary(["", ""]).transform([]).shape == (0, 0)


@pytest.mark.parametrize("limit", [1, 3])
def test_the_most_widespread_terms_are_kept(limit):
    assert len(vocabulary(max_terms=limit).terms) == limit
    assert "bank" in vocabulary(max_terms=limit).terms


def test_pairs_of_characters_are_the_words_of_scripts_without_spaces() -> None:
    assert list(terms_of("VIP电热水壶, 金 the bank", ngrams=1, unspaced=UNSPACED)) == [
        "vip",
        "电热",
        "热水",
        "水壶",
        "the",
        "bank",
    ]
    assert list(terms_of("電気ケ", ngrams=2, unspaced=UNSPACED)) == ["電気", "気ケ", "電気 気ケ"]
    assert list(terms_of("über die Bank", ngrams=1, unspaced=UNSPACED)) == ["über", "die", "bank"]
