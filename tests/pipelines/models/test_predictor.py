"""The predictor: what it refuses, and what must not change an answer. Both kinds on a tiny base model."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from pipelines.models.base_model import BaseModelParams
from pipelines.models.encoder import Encoder, run_by_length
from pipelines.models.linear import LinearModel, Vocabulary
from pipelines.models.manifest import BOOSTING_FILE, MANIFEST, SCHEMA_VERSION, FeatureColumn, Manifest, feature_matrix
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError
from tests.factories.tiny_base_model import WIDTH, write_tiny_base_model

pytestmark = pytest.mark.slow
LABELS = ("card", "loan", "other")
TEXTS = ["my card has a fee", "the bank and the loan for a student", "", "a loan", "fee " * 50, "a debt of a consumer"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def folder(tmp_path, models):
    """A baseline of hand-made weights, without trees."""
    random = np.random.default_rng(0)
    vocabulary = Vocabulary.fit(TEXTS, ngrams=1, min_records=1, max_terms=50, max_characters=1000)
    n_terms, here = len(vocabulary.terms), tmp_path / "model"
    here.mkdir()
    (tmp_path / "models").symlink_to(models)
    LinearModel(vocabulary, random.normal(size=(n_terms, 3)), random.normal(size=(WIDTH, 3)), np.zeros(3)).save(here)
    (here / BOOSTING_FILE).write_text("", encoding="utf-8")
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="baseline",
        labels=LABELS,
        features=(FeatureColumn(name="amount", kind="number"),),
        encoder=BaseModelParams(**write_tiny_base_model(models), max_characters=500, pooling="mean"),
        temperature=1.5,
        settings={},
        files={},
    ).write(here)
    return here


def load(folder):
    return Predictor.load(folder, models_folder=folder.parent / "models")


@pytest.fixture
def records():
    return pd.DataFrame({"id": [f"r{n}" for n in range(len(TEXTS))], "text": TEXTS, "amount": 1.0})


def test_neighbors_and_order_change_nothing(folder, records):
    predictor = load(folder)
    together = predictor.predict_proba(records)
    np.testing.assert_allclose(together.sum(axis=1), 1.0)
    alone = np.vstack([predictor.predict_proba(records.iloc[[row]]) for row in range(len(records))])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    shuffled = records.iloc[[4, 2, 0, 5, 1, 3]]
    np.testing.assert_allclose(predictor.predict_proba(shuffled), together[[4, 2, 0, 5, 1, 3]], atol=1e-5)
    answers = predictor.predict(shuffled)
    assert answers["id"].tolist() == ["r4", "r2", "r0", "r5", "r1", "r3"]
    assert answers["label"].tolist() == [LABELS[k] for k in together.argmax(axis=1)[[4, 2, 0, 5, 1, 3]]]


def test_an_empty_frame_gives_no_rows(folder, records):
    predictor = load(folder)
    assert predictor.predict_proba(records.iloc[:0]).shape == (0, 3)
    assert predictor.predict(records.iloc[:0]).columns.tolist() == ["id", "label", "confidence"]


def test_a_text_of_a_megabyte_and_a_null_one_are_answered(folder, records):
    texts = ["loan " * 200_000, None, "\U0001f600" * 10_000, "x" * 1_000_000, "\0", " "]
    assert np.isfinite(load(folder).predict_proba(records.assign(text=texts))).all()


def test_a_null_text_is_as_good_as_an_empty_one(folder, records):
    predictor = load(folder)
    null, empty = (predictor.predict_proba(records.assign(text=text)) for text in (None, ""))
    np.testing.assert_array_equal(null, empty)


@pytest.mark.parametrize("missing", ["text", "amount"])
def test_a_missing_column_is_named(folder, records, missing):
    with pytest.raises(InputError, match=rf"records lack the column {missing}; the model reads text, amount"):
        load(folder).predict_proba(records.drop(columns=missing))


def test_an_id_is_needed_to_name_answers(folder, records):
    with pytest.raises(InputError, match="records lack the column 'id'"):
        load(folder).predict(records.drop(columns="id"))


@pytest.mark.parametrize("file", ["vocabulary.json", "linear.safetensors", BOOSTING_FILE])
def test_a_changed_or_missing_file_is_refused_by_name(folder, file):
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    with pytest.raises(InputError, match=rf"{file}: sha256 is [0-9a-f]+, expected .*changed after training"):
        load(folder)
    (folder / file).unlink()
    with pytest.raises(InputError, match=rf"{file}: sha256 is missing"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version = 2: expected 1"),
        ({"kind": "oracle"}, "does not describe a model"),
        ({"labels": ["one"]}, "does not describe a model"),
        ({"temperature": 0.0}, "does not describe a model"),
        ({"more": 1}, "does not describe a model"),
    ],
)
def test_a_description_that_is_not_known_is_refused(folder, change, message):
    content = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=message):
        load(folder)


def test_a_folder_without_a_description_is_no_model(tmp_path):
    with pytest.raises(InputError, match=r"predictor.json is missing: .* is not a model folder"):
        Predictor.load(tmp_path)


def test_another_base_model_is_refused(folder, models):
    manifest = Manifest.read(folder)
    other = manifest.encoder.model_copy(update={"sha256": "0" * 64})
    manifest.model_copy(update={"encoder": other}).write(folder)
    with pytest.raises(InputError, match="0000000"):
        load(folder)


def test_weights_that_are_no_numbers_are_refused_with_the_row(folder, records):
    arrays = load_file(folder / "linear.safetensors")
    arrays["vector_weights"] = arrays["vector_weights"] * np.nan
    save_file(arrays, folder / "linear.safetensors")
    content = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    content.write(folder)
    with pytest.raises(InputError, match=r"NaN or infinity for 6 of 6 records, the first in row 0 \(id r0\)"):
        load(folder).predict(records)


def test_the_encoder_in_the_folder_is_used(folder, records, models, tmp_path):
    expected = load(folder).predict_proba(records)
    name = Manifest.read(folder).encoder.name
    (folder / "encoder").symlink_to(models / name)
    found = Predictor.load(folder, models_folder=tmp_path / "nowhere")
    np.testing.assert_array_equal(found.predict_proba(records), expected)


def test_the_network_can_be_replaced(folder, records, models):
    predictor = load(folder)
    expected = predictor.predict_proba(records)
    other = Encoder.load(predictor.manifest.encoder, models_folder=models)
    asked = []

    def vectors(tokens):
        asked.append(len(tokens))
        return run_by_length(tokens, other.encode, width=other.width, device="cpu")

    predictor.replace_encoders({"encoder": vectors})
    np.testing.assert_array_equal(predictor.predict_proba(records), expected)
    assert asked == [len(records)]


def test_features_become_numbers_and_what_is_unknown_becomes_nan():
    frame = pd.DataFrame({"state": pd.Series(["TX", "ZZ", None], dtype="string"), "amount": ["1", None, "2.5"]})
    columns = (
        FeatureColumn(name="state", kind="category", levels=("CA", "TX")),
        FeatureColumn(name="amount", kind="number"),
    )
    np.testing.assert_array_equal(feature_matrix(frame, columns), [[1.0, 1.0], [np.nan, np.nan], [np.nan, 2.5]])
    with pytest.raises(InputError, match="feature 'amount' must hold numbers"):
        feature_matrix(frame.assign(amount="much"), columns)
