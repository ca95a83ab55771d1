"""The blend: its weight comes from gold validation rows alone, and its folder predicts what was computed from its members."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.models.candidates import BLEND
from pipelines.models.manifest import MANIFEST, Manifest
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError
from pipelines.runtime.store import Store, folder_digest
from pipelines.stages.evaluate.blend import Blend, blend_of, clustered_error, fit_blend, write_blend
from pipelines.stages.evaluate.measurement import measure
from pipelines.stages.evaluate.params import BlendParams
from pipelines.training.validation import read_validation, write_validation
from tests.factories.blends import write_tiny_pair
from tests.factories.shop import LABELS, PARAMS, SCHEMA, answers, gold, model_probabilities

WEIGHTS = BlendParams().weights
TEXTS = ["my card was charged twice", "", "a debt that is not mine", "a report of fees"]


def fitted(rows, baseline, finetune, **changed):
    codes = np.array([LABELS.index(label) for label in rows["gold"]])
    how = {"clusters": np.arange(len(rows)), "weights": WEIGHTS} | changed
    return fit_blend(baseline, finetune, codes, **how)


def pair(rows, *, baseline, finetune):
    return model_probabilities(rows, right=baseline, seed=1), model_probabilities(rows, right=finetune, seed=2)


def test_equal_models_get_equal_weights():
    rows = gold(300)
    assert fitted(rows, *pair(rows, baseline=0.8, finetune=0.8)).weight == 0.5


@pytest.mark.parametrize(("baseline", "finetune", "low", "high"), [(0.95, 0.4, 0.1, 0.4), (0.4, 0.95, 0.6, 0.9)])
def test_the_better_model_gets_the_larger_weight(baseline, finetune, low, high):
    rows = gold(3000)
    assert low <= fitted(rows, *pair(rows, baseline=baseline, finetune=finetune)).weight <= high


def test_few_independent_rows_move_the_weight_less_than_many():
    rows = gold(3000)
    both = pair(rows, baseline=0.95, finetune=0.4)
    alone = fitted(rows, *both)
    together = fitted(rows, *both, clusters=np.arange(3000) % 3)
    assert abs(together.weight - 0.5) <= abs(alone.weight - 0.5)
    assert fitted(rows, *both, clusters=np.zeros(3000, dtype=int)).weight == 0.5, "one cluster proves nothing"


def test_the_standard_error_without_shared_clusters_is_the_usual_one():
    values = np.random.default_rng(1).normal(size=200)
    assert clustered_error(values, np.arange(200)) == pytest.approx(values.std(ddof=1) / np.sqrt(200))


@given(st.integers(0, 10_000), st.sampled_from(WEIGHTS))
@settings(max_examples=30, deadline=None)
def test_a_blend_gives_probabilities_and_with_temperature_one_it_is_the_weighted_mean(seed, weight):
    draw = np.random.default_rng(seed)
    one, other = (draw.dirichlet(np.ones(4), size=20) for _ in range(2))
    found = Blend(weight, 1.0, 20, {}).probabilities(one, other)
    np.testing.assert_allclose(found, (1 - weight) * one + weight * other, atol=1e-9)
    hot = Blend(weight, 2.5, 20, {}).probabilities(one, other)
    np.testing.assert_allclose(hot.sum(axis=1), 1.0)


def complementary(rows):
    """Two models that are sure where they are right and unsure where they are wrong: their mean beats both."""
    truth = np.array([LABELS.index(label) for label in rows["gold"]])
    out = []
    for side in (0, 1):
        knows = np.arange(len(rows)) % 2 == side
        table = np.full((len(rows), 3), 0.02)
        guess = np.where(knows, truth, (truth + 1) % 3)
        table[np.arange(len(rows)), guess] = np.where(knows, 0.96, 0.45)
        table[~knows, truth[~knows]] = 0.42
        out.append(table / table.sum(axis=1, keepdims=True))
    return out


def chosen(make, **params):
    tests = {"recent": gold(800), "anchor": gold(600, seed=5)}
    found = {}
    for part, rows in tests.items():
        one, other = make(rows)
        blend = Blend(0.5, 1.0, 0, {})
        for name, table in {"baseline": one, "finetune": other, "blend": blend.probabilities(one, other)}.items():
            found[name, part] = answers(rows, right=1.0)
            found[name, part] = type(found[name, part])(LABELS, found[name, part].gold, table)
    return measure(found, tests, schema=SCHEMA, params=PARAMS.model_copy(update=params), seed=1)


def test_a_blend_that_beats_the_chosen_single_model_is_chosen_and_measured_like_the_others():
    found = chosen(complementary)
    assert found.choice.candidate == BLEND
    assert found.choice.against == "baseline"
    assert found.choice.blend_difference.lower > 0
    metrics = found.as_metrics()
    assert {"baseline", "finetune", "blend"} <= set(metrics)
    assert metrics["blend"]["fairness"] and metrics["choice"]["blend"]["against"] == "baseline"
    assert set(found.slice_table()["candidate"]) == {"baseline", "finetune", "blend"}
    assert found.groups


def test_a_blend_that_does_not_win_leaves_the_baseline():
    found = chosen(lambda rows: pair(rows, baseline=0.9, finetune=0.5))
    assert found.choice.candidate == "baseline"
    assert found.choice.blend_difference.lower <= 0


def test_a_blend_that_wins_by_less_than_the_margin_is_not_chosen():
    assert chosen(complementary, margin=0.9).choice.candidate == "baseline"


def test_a_blend_has_to_beat_the_fine_tuned_model_where_that_one_is_chosen():
    found = chosen(lambda rows: pair(rows, baseline=0.4, finetune=0.9))
    assert (found.choice.candidate, found.choice.against) == ("finetune", "finetune")


@pytest.fixture
def made(tmp_path):
    """A store with both models and their validation probabilities, and the records of split."""
    store = Store(tmp_path / "data")
    models = tmp_path / "models"
    folders = write_tiny_pair(store.folder, models=models, labels=LABELS)
    rows = gold(120)
    parts = ["validation"] * 100 + ["recent"] * 20
    records = rows.assign(part=pd.Series(parts, dtype="string"))
    held = records[records["part"] == "validation"]
    for name, table in zip(folders, pair(held, baseline=0.8, finetune=0.7), strict=True):
        write_validation(store, name, held, table, labels=LABELS)
    return store, models, folders, records


def of(store, records, **changed):
    return blend_of(
        records,
        models={name: store.folder / name / "model" for name in ("baseline", "finetune")},
        read=partial(read_validation, store, labels=LABELS),
        labels=LABELS,
        params=BlendParams(**changed),
        by=("text",),
    )


def test_the_weight_does_not_depend_on_test_rows(made):
    store, _, _, records = made
    other = records.copy()
    test = other["part"] == "recent"
    other.loc[test, "gold"] = "praise"
    other.loc[test, "text"] = "another text"
    assert of(store, records) == of(store, other)
    assert of(store, records).rows == 100


def test_a_run_has_no_blend_without_rows_or_weights_and_gives_the_reason(made):
    store, _, _, records = made
    assert "min_rows = 101" in of(store, records, min_rows=101)
    assert "weights is empty" in of(store, records, weights=())


@pytest.mark.parametrize("keep", [99, 0])
def test_validation_probabilities_of_other_rows_are_refused(made, keep):
    store, _, _, records = made
    table = store.read_records("finetune", name="validation")
    store.write_records("finetune", table.head(keep), name="validation")
    with pytest.raises(InputError, match="dvc repro finetune"):
        of(store, records)


def test_models_of_different_base_models_have_no_blend(made):
    store, _, folders, records = made
    manifest = Manifest.read(folders["finetune"])
    spec = manifest.encoder.model_copy(update={"sha256": "0" * 64})
    manifest.model_copy(update={"encoder": spec}).write(folders["finetune"])
    assert "different base models" in of(store, records)


@pytest.fixture
def folder(made, tmp_path):
    store, models, folders, records = made
    blend = of(store, records)
    target = tmp_path / "blend"
    target.mkdir()
    write_blend(target, blend, models=folders)
    return target, blend, models, folders


def test_the_folder_predicts_what_is_computed_from_its_members(folder):
    target, blend, models, folders = folder
    records = pd.DataFrame({"id": list("abcd"), "text": TEXTS})
    members = {name: Predictor.load(path, models_folder=models) for name, path in folders.items()}
    found = Predictor.load(target, models_folder=models)
    expected = blend.probabilities(*(member.predict_proba(records) for member in members.values()))
    np.testing.assert_array_equal(found.predict_proba(records), expected)
    in_memory = Predictor.blend(Manifest.read(target), members, folder=target)
    np.testing.assert_array_equal(in_memory.predict_proba(records), expected)
    assert (found.kind, found.networks) == ("blend", ("baseline", "finetune"))
    assert found.predict_proba(records.iloc[:0]).shape == (0, len(LABELS))


def test_the_same_models_give_the_same_bytes_and_no_pickle(folder, tmp_path):
    target, blend, _, folders = folder
    again = tmp_path / "again"
    again.mkdir()
    write_blend(again, blend, models=folders)
    assert folder_digest(again) == folder_digest(target)
    assert {file.suffix for file in target.rglob("*") if file.is_file()} <= {".json", ".txt", ".safetensors"}


@pytest.mark.parametrize("name", ["baseline/predictor.json", "finetune/predictor.json", "finetune/head.safetensors"])
def test_a_changed_file_of_a_member_is_refused(folder, name):
    target, _, models, _ = folder
    file = target / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match="changed after training"):
        Predictor.load(target, models_folder=models)


@pytest.mark.parametrize("change", [{"labels": ("a", "b", "c")}, {"kind": "baseline"}])
def test_a_member_that_does_not_fit_is_refused(folder, change):
    target, _, models, _ = folder
    member = target / "finetune" / MANIFEST
    content = json.loads(member.read_text())
    member.write_text(json.dumps(content | change))
    Manifest.model_validate_json((target / MANIFEST).read_bytes()).write(target)
    with pytest.raises(InputError, match="finetune"):
        Predictor.load(target, models_folder=models)


def test_precision_of_a_comparison_reaches_both_members(folder):
    target, _, models, _ = folder
    found = Predictor.load(target, models_folder=models, precision="bfloat16")
    assert found._scorer.members["baseline"][0].encoder.spec.precision == "bfloat16"
    assert found.manifest.encoder.precision == "bfloat16"


def test_an_export_must_have_both_networks(folder):
    target, _, models, _ = folder
    found = Predictor.load(target, models_folder=models)
    with pytest.raises(InputError, match="baseline, finetune"):
        found.replace_encoders({"encoder": lambda tokens: np.zeros((len(tokens), 1))})
