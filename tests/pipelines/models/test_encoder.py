"""Finding, checking and running the base model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.models.base_model import BaseModelParams, file_sha256, find_base_model, positions_of, weights_digest
from pipelines.models.encoder import MIN_BATCH_TOKENS, Encoder, batches_by_length
from pipelines.runtime.errors import InputError
from tests.factories.tiny_base_model import write_tiny_base_model


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def spec(models) -> BaseModelParams:
    return BaseModelParams(**write_tiny_base_model(models), max_characters=200, pooling="mean")


@pytest.mark.slow
def test_a_vector_does_not_depend_on_its_neighbors(spec, models):
    encoder = Encoder.load(spec, models_folder=models)
    texts = ["my card was charged", "", "a loan", "fee " * 10_000, "the bank closed my account", "a debt"]
    together = encoder.embed(texts)
    alone = np.vstack([encoder.embed([text]) for text in texts])
    backwards = encoder.embed(texts[::-1])[::-1]
    assert together.shape == (6, 32)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, backwards, atol=1e-5)
    assert encoder.embed([]).shape == (0, 32)


@pytest.mark.slow
def test_a_huge_text_is_cut_before_it_is_tokenized(spec, models):
    tokens = Encoder.load(spec, models_folder=models).tokenize(["word " * 200_000])
    assert len(tokens[0]) == spec.max_tokens


@pytest.mark.parametrize(
    ("parameter", "file"),
    [("sha256", "*.safetensors"), ("tokenizer_sha256", "tokenizer.json"), ("config_sha256", "config.json")],
)
def test_another_digest_is_refused_naming_file_found_and_expected(spec, models, parameter, file):
    wrong = spec.model_copy(update={parameter: "0" * 64})
    with pytest.raises(InputError) as refusal:
        find_base_model(wrong, models_folder=models)
    for part in (file, getattr(spec, parameter), "0" * 64, parameter):
        assert part in str(refusal.value)


def test_a_given_folder_is_checked_too(spec, tmp_path):
    with pytest.raises(InputError, match=r"tokenizer.json is missing"):
        find_base_model(spec, folder=tmp_path)


def copied(spec, models, tmp_path):
    return Path(shutil.copytree(models / spec.name, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}x", b"\xff\xfe"])
def test_a_damaged_file_with_the_pinned_digest_is_named(spec, models, tmp_path, name, content):
    folder = copied(spec, models, tmp_path)
    (folder / name).write_bytes(content)
    pinned = spec.model_copy(update={f"{name.split('.')[0]}_sha256": file_sha256(folder / name)})
    with pytest.raises(InputError) as refusal:
        find_base_model(pinned, folder=folder)
    assert str(folder / name) in str(refusal.value)


def test_a_network_with_fewer_word_pieces_than_the_tokenizer_is_refused(spec, models, tmp_path):
    folder = copied(spec, models, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 10}))
    pinned = spec.model_copy(update={"config_sha256": file_sha256(folder / "config.json")})
    with pytest.raises(InputError, match="the network has 10 of them"):
        find_base_model(pinned, folder=folder)


def test_more_tokens_than_the_network_has_positions_are_refused(spec, models):
    assert find_base_model(spec.model_copy(update={"max_tokens": 64}), models_folder=models)
    with pytest.raises(InputError, match=r"base_model.max_tokens = 65: tiny-bert reads texts of at most 64 tokens"):
        find_base_model(spec.model_copy(update={"max_tokens": 65}), models_folder=models)


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, 512),
        ({"n_positions": 1024, "model_type": "gpt2"}, 1024),
        ({}, None),
    ],
)
def test_positions_are_counted_as_each_family_does(config, positions):
    assert positions_of(config) == positions


def test_only_safetensors_are_loaded(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="never pickles"):
        weights_digest(tmp_path)


def test_a_model_that_is_nowhere_names_the_three_places(spec, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"PERENNIAL_MODELS \(not set\).*installed package.*hub"):
        find_base_model(spec)


def test_batches_hold_each_row_once_and_one_length_only():
    lengths = [5, 3, 5, 128, 128, 3, 3]
    seen = []
    for batch in batches_by_length(lengths):
        rows = np.unique(batch)
        assert len({lengths[row] for row in rows}) == 1
        assert len(batch) * lengths[rows[0]] >= MIN_BATCH_TOKENS
        seen.extend(rows.tolist())
    assert sorted(seen) == list(range(len(lengths)))
