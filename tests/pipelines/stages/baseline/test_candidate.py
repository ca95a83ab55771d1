"""The baseline on a tiny base model."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from pipelines.models.base_model import BaseModelParams
from pipelines.models.encoder import Encoder
from pipelines.models.linear import LinearModel
from pipelines.models.predictor import Predictor
from pipelines.records.schema import Feature
from pipelines.runtime.errors import InputError
from pipelines.stages.baseline.boosting import TreeData, Validation, fit_boosting, rows_per_label
from pipelines.stages.baseline.candidate import train
from pipelines.stages.baseline.linear import fit_mean, out_of_fold_logits
from pipelines.stages.baseline.params import BaselineParams
from pipelines.training.training_set import TrainingSet
from tests.factories.tiny_base_model import write_tiny_base_model

pytestmark = pytest.mark.slow
NO_EVIDENCE = "no evidence that trees lower gold validation log loss"
LABELS = ("card", "loan", "other")
FEATURES = (Feature("state", kind="category"), Feature("amount", kind="number"))


def params_of_boosting(**parameters):
    return {
        "rounds": 10,
        "patience": 5,
        "evidence": 1.0,
        "learning_rate": 0.2,
        "leaves": 4,
        "min_leaf_rows": 2,
        "column_share": 0.5,
        "l2": 1.0,
        "max_bins": 15,
        "max_levels": 5,
        **parameters,
    }


def params_of(models, *, trials=0, linear=None, boosting=None):
    base = BaseModelParams(**write_tiny_base_model(models), max_characters=500, pooling="mean")
    return BaselineParams(
        base_model=base,
        soft_labels=True,
        class_weights="balanced",
        words={"ngrams": 2, "min_records": 1, "max_terms": 500, "max_characters": 1000},
        linear={"strengths": [1.0], "vectors": [True], "folds": 3, "max_iterations": 30, **(linear or {})},
        boosting=params_of_boosting(**(boosting or {})),
        tuning={"trials": trials},
    )


def rows(*, n_gold=12):
    """Words separate cards from loans; only the amount separates loans from the rest."""
    n = 60
    words = [("my card fee", "a loan or more")[index % 3 > 0] for index in range(n)]
    frame = pd.DataFrame(
        {
            "id": [str(index) for index in range(n)],
            "text": words,
            "state": pd.Series(["TX", "CA", None] * 20, dtype="string"),
            "amount": [float(index % 3) * 100 + index for index in range(n)],
        }
    )
    codes = np.arange(n) % 3
    held = frame.iloc[:n_gold].reset_index(drop=True)
    return TrainingSet(frame, np.eye(3)[codes], np.ones(n), held, codes[:n_gold].astype(np.int64))


def trained(tmp_path, name, *, data=None, **parameters):
    params = params_of(tmp_path / "models", **parameters)
    (tmp_path / name).mkdir()
    metrics = train(
        rows() if data is None else data,
        folder=tmp_path / name,
        labels=LABELS,
        features=FEATURES,
        params=params,
        encoder=Encoder.load(params.base_model, models_folder=tmp_path / "models"),
        threads=1,
        seed=1,
    )
    return tmp_path / name, metrics


def test_twice_the_same_bytes_and_the_features_count(tmp_path):
    first, metrics = trained(tmp_path, "a")
    second, again = trained(tmp_path, "b")
    assert {f.name: f.read_bytes() for f in first.iterdir()} == {f.name: f.read_bytes() for f in second.iterdir()}
    assert metrics == again
    assert metrics["rounds"] > 0
    predictor = Predictor.load(first, models_folder=tmp_path / "models")
    probabilities = predictor.predict_proba(rows().train)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == np.arange(60) % 3).mean() > 0.9
    alone = predictor.predict_proba(rows().train.iloc[[7]])
    np.testing.assert_allclose(alone[0], probabilities[7], atol=1e-5)


def test_without_gold_the_rounds_are_fixed(tmp_path):
    _, metrics = trained(tmp_path, "a", data=rows(n_gold=0))
    assert metrics["rounds"] == 10
    assert metrics["temperature"] == 1.0
    assert metrics["stopped_by"] == "fixed rounds: no gold validation rows"
    assert metrics["validation"]["macro_f1"] is None


def test_the_linear_model_is_the_mean_of_those_asked_for(tmp_path):
    asked = {"strengths": [0.1, 5.0], "vectors": [False, True]}
    folder, metrics = trained(tmp_path, "mean", linear=asked)
    each = [
        (vectors, strength, trained(tmp_path, f"{vectors} {strength}",
                                    linear={"strengths": [strength], "vectors": [vectors]}))
        for vectors in asked["vectors"] for strength in asked["strengths"]
    ]  # fmt: skip
    mean, models = LinearModel.load(folder), [LinearModel.load(alone) for _, _, (alone, _) in each]
    for part in ("word_weights", "vector_weights", "intercept"):
        np.testing.assert_allclose(getattr(mean, part), np.mean([getattr(one, part) for one in models], axis=0))
    assert metrics["linear"] == [
        {"vectors": vectors, "strength": strength, "validation_macro_f1": one["validation"]["macro_f1_linear"]}
        for vectors, strength, (_, one) in each
    ]
    _, without = trained(tmp_path, "without gold", linear=asked, data=rows(n_gold=0))
    assert [line["validation_macro_f1"] for line in without["linear"]] == [None] * 4


def test_rows_are_scored_by_models_that_did_not_see_them():
    rng = np.random.default_rng(0)
    words, vectors = csr_array(np.eye(40)), np.zeros((40, 2))  # a row is known by itself alone
    targets = np.eye(2)[rng.integers(0, 2, 40)]
    fit = {"recipes": [(False, 1e3), (True, 1e3)], "max_iterations": 50}
    seen = fit_mean(words, vectors, targets=targets, weights=np.ones(40), **fit)[1]
    assert ((words @ seen[0] + seen[2]).argmax(1) == targets.argmax(1)).all()
    unseen = out_of_fold_logits(words, vectors, targets=targets, weights=np.ones(40), folds=4, seed=1, **fit)
    assert np.ptp(unseen[:, 0] - unseen[:, 1]) < 3  # nothing but the classes' shares in the other folds
    assert (unseen.argmax(1) == targets.argmax(1)).mean() < 0.75


@pytest.mark.parametrize("share_wrong", [0.0, 0.5, 1.0])
def test_the_trees_never_lose_to_the_linear_model_on_gold_validation(tmp_path, share_wrong):
    data = rows(n_gold=30)
    wrong = int(30 * share_wrong)
    gold = data.gold.copy()
    gold[:wrong] = (gold[:wrong] + 1) % 3  # the trees learn what gold denies
    data = TrainingSet(data.train, data.targets, data.weights, data.validation, gold)
    folder, metrics = trained(tmp_path, "a", data=data)
    assert metrics["validation"]["macro_f1"] >= metrics["validation"]["macro_f1_linear"]
    assert (metrics["rounds"] == 0) == ((folder / "boosting.txt").read_text() == "")
    if share_wrong == 1.0:
        assert metrics["rounds"] == 0
        assert metrics["stopped_by"] == NO_EVIDENCE


def test_trees_that_lower_log_loss_but_also_macro_f1_are_left_out(tmp_path, monkeypatch):
    scores = iter([0.5, 0.6])  # with the trees, without them
    monkeypatch.setattr("pipelines.stages.baseline.boosting.macro_f1_score", lambda *_: next(scores))
    folder, metrics = trained(tmp_path, "a")
    assert (metrics["rounds"], metrics["stopped_by"]) == (0, "the trees lower gold validation macro-F1")
    assert (folder / "boosting.txt").read_text() == ""


def test_trees_that_only_change_how_sure_the_linear_model_is_are_left_out():
    """They lower the uncalibrated log loss of an underconfident linear model, which its temperature does as well."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 3, 800)
    answers = np.where(rng.random(800) < 0.9, gold, rng.integers(0, 3, 800))
    timid = np.eye(3)[answers] * 0.5  # right nine times in ten, with a probability of 45 %
    parameters = params_of_boosting(learning_rate=0.5, min_leaf_rows=20)

    def found(columns, **changes):
        held = Validation(columns[400:], start=timid[400:], gold=gold[400:])
        data = TreeData(columns[:400], start=timid[:400], targets=np.eye(3)[gold[:400]], weights=np.ones(400),
                        categorical=[], validation=held)  # fmt: skip
        return fit_boosting(data, parameters={**parameters, **changes}, threads=1, seed=1)

    assert (found(timid).rounds, found(timid).stopped_by) == (0, NO_EVIDENCE)
    known = np.column_stack([timid, gold])  # and a column that is the label
    assert found(known).rounds > 0
    assert found(known, evidence=1e6).stopped_by == NO_EVIDENCE


def test_metrics_name_what_ended_the_rounds(tmp_path):
    _, all_done = trained(tmp_path, "a", boosting={"rounds": 3})
    assert (all_done["rounds"], all_done["stopped_by"]) == (3, "all rounds done")
    _, none = trained(tmp_path, "b", boosting={"rounds": 0})
    assert (none["rounds"], none["stopped_by"]) == (0, "no rounds were asked for")


def test_a_missing_feature_and_a_wrong_type_are_named(tmp_path):
    folder, _ = trained(tmp_path, "a")
    predictor = Predictor.load(folder, models_folder=tmp_path / "models")
    with pytest.raises(InputError, match=r"lack the column amount; the model reads text, state, amount"):
        predictor.predict_proba(rows().train.drop(columns="amount"))
    with pytest.raises(InputError, match="feature 'amount' must hold numbers"):
        predictor.predict_proba(rows().train.assign(amount="many"))
    unknown = predictor.predict_proba(rows().train.assign(state="ZZ", amount=np.nan))
    assert np.isfinite(unknown).all()


def test_tuning_with_a_fixed_number_of_trials_is_repeatable(tmp_path):
    _, first = trained(tmp_path, "a", trials=2)
    _, second = trained(tmp_path, "b", trials=2)
    assert first["boosting"] == second["boosting"]


def test_soft_targets_become_rows_of_the_same_total_weight():
    targets = np.array([[0.7, 0.3, 0.0], [0.98, 0.01, 0.01]])
    row, label, weight = rows_per_label(targets, np.array([2.0, 1.0]))
    assert list(zip(row.tolist(), label.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0)]
    np.testing.assert_allclose(weight, [1.4, 0.6, 1.0])
