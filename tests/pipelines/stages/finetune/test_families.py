"""Other base models than BERT, made from scratch: loaded, trained, written and read back as on a GPU."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from pipelines.models.base_model import BaseModelParams, file_sha256, weights_digest
from pipelines.models.encoder import layers_of, load_network
from pipelines.models.predictor import Predictor
from pipelines.runtime.errors import InputError
from pipelines.stages.finetune.batches import ActivationSource, TokenSource
from pipelines.stages.finetune.candidate import train
from pipelines.stages.finetune.network import build
from pipelines.training.tracking import NoTracking
from pipelines.training.training_set import TrainingSet
from tests.factories.finetuning import finetune_params, job_of
from tests.factories.tiny_base_model import NAME, write_tiny_base_model

pytestmark = pytest.mark.slow
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
TEXTS = [f"my card has a fee {n}" if n % 2 else f"the bank and the loan {n} for a student" for n in range(40)]
GOLD = (np.arange(len(TEXTS)) % 2 == 0).astype(np.int64)


def network_of(family, *, words):
    import transformers as t

    torch.manual_seed(0)
    return {
        "roberta": lambda: t.RobertaModel(t.RobertaConfig(vocab_size=words, **SIZES), add_pooling_layer=False),
        "distilbert": lambda: t.DistilBertModel(
            t.DistilBertConfig(vocab_size=words, dim=32, n_layers=3, n_heads=2, hidden_dim=64)
        ),
        "modernbert": lambda: t.ModernBertModel(
            t.ModernBertConfig(
                vocab_size=words,
                pad_token_id=0,
                bos_token_id=2,
                eos_token_id=3,
                cls_token_id=2,
                sep_token_id=3,
                **SIZES,
            )
        ),
        "mpnet": lambda: t.MPNetModel(t.MPNetConfig(vocab_size=words, **SIZES), add_pooling_layer=False),
        "qwen2": lambda: t.Qwen2Model(t.Qwen2Config(vocab_size=words, num_key_value_heads=1, **SIZES)),
        "llama": lambda: t.LlamaModel(t.LlamaConfig(vocab_size=words, num_key_value_heads=1, **SIZES)),
        "gpt2": lambda: t.GPT2Model(
            t.GPT2Config(vocab_size=words, n_embd=32, n_layer=3, n_head=2, bos_token_id=2, eos_token_id=3)
        ),
    }[family]()


@pytest.fixture(autouse=True)
def _forgotten_precision():
    """accelerate keeps the precision of a process for good."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.fixture
def parameters(tmp_path):
    """A function from a family to the parameters that fine-tune it."""
    bert = write_tiny_base_model(tmp_path / "models")

    def make(family, **changed):
        folder = tmp_path / "models" / "tests" / family
        if not folder.exists():
            shutil.copytree(tmp_path / "models" / NAME, folder)
            words = json.loads((folder / "config.json").read_text())["vocab_size"]
            network_of(family, words=words).save_pretrained(folder)
        decoder = family in ("qwen2", "llama", "gpt2")
        base = BaseModelParams(
            **{name: value for name, value in bert.items() if name != "layers"}
            | {"name": f"tests/{family}", "sha256": weights_digest(folder)}
            | {"config_sha256": file_sha256(folder / "config.json"), "precision": changed.pop("precision", "float32")},
            layers=changed.pop("layers", None),
            max_characters=500,
            pooling="last" if decoder else "mean",
        )
        asked = {"mode": "lora", "train_layers": None, "cache_frozen": False, "epochs": 8, "head_learning_rate": 0.02}
        asked |= {"lora": {"rank": 8, "alpha": 16, "targets": "all-linear"}, "dropout": 0.0}
        asked |= {"evaluate_every": 8, "evaluate_rows": 40}
        return finetune_params(tmp_path / "models", base_model=base, **asked | changed)

    return make


def trained(folder, params):
    folder.mkdir()
    frame = pd.DataFrame({"id": [str(n) for n in range(len(TEXTS))], "text": TEXTS})
    data = TrainingSet(frame, np.eye(2)[GOLD], np.ones(len(TEXTS)), frame, GOLD)
    metrics, _ = train(job_of(data, params=params, folder=folder.parent), folder=folder, tracker=NoTracking())
    return metrics, Predictor.load(folder, models_folder=folder.parent / "models").predict_logits(frame)


def built(params, models):
    return build(base_folder(params, models), params=params, n_labels=2, seed=1)


def base_folder(params, models):
    from pipelines.models.base_model import find_base_model

    return find_base_model(params.base_model, models_folder=models)


@pytest.mark.parametrize("family", ["qwen2", "llama", "gpt2", "modernbert", "distilbert", "roberta", "mpnet"])
def test_every_family_learns_with_adapters_on_all_layers_and_is_read_back(tmp_path, parameters, family):
    params = parameters(family)
    metrics, logits = trained(tmp_path / "model", params)
    assert metrics["steps"] == 32
    assert metrics["validation"]["macro_f1"] > 0.9
    adapter = json.loads((tmp_path / "model" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == f"tests/{family}"
    assert str(tmp_path) not in json.dumps(adapter)
    assert logits.argmax(axis=1).tolist() == GOLD.tolist()


def test_every_layer_of_a_decoder_gets_an_adapter(tmp_path, parameters):
    classifier, lower = built(parameters("qwen2"), tmp_path / "models")
    assert lower is None
    trainable = [name for name, p in classifier.named_parameters() if p.requires_grad]
    for layer in range(3):
        for module in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
            assert any(f"layers.{layer}." in name and f".{module}.lora_A" in name for name in trainable)
    assert not any("embed_tokens" in name for name in trainable)


def test_a_decoder_reads_the_last_token_that_is_no_padding(tmp_path, parameters):
    classifier, _ = built(parameters("qwen2"), tmp_path / "models")
    source = TokenSource([[5, 6, 7], [8, 9, 10, 11, 12, 13]], device=torch.device("cpu"))
    with torch.no_grad():
        together = classifier(**source.batch(np.array([0, 1])))
        alone = torch.cat([classifier(**source.batch(np.array([row]))) for row in (0, 1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["distilbert", "roberta"])
@pytest.mark.parametrize("mode", ["top_layers", "lora"])
def test_cached_lower_layers_give_what_the_whole_network_gives(tmp_path, parameters, family, mode):
    asked = {"mode": mode, "train_layers": 1}
    whole, none = built(parameters(family, **asked), tmp_path / "models")
    upper, lower = built(parameters(family, cache_frozen=True, **asked), tmp_path / "models")
    assert none is None
    tokens = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [3]]
    cpu = torch.device("cpu")
    kept = ActivationSource(tokens, lower=lower, width=32, dtype=torch.float32, device=cpu, progress="")
    rows = np.arange(3)
    with torch.no_grad():
        expected = whole(**TokenSource(tokens, device=cpu).batch(rows))
        torch.testing.assert_close(upper(**kept.batch(rows)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["mpnet", "modernbert", "qwen2", "gpt2"])
def test_layers_that_cannot_be_computed_apart_are_refused(tmp_path, parameters, family):
    with pytest.raises(InputError, match=r"lower layers cannot be cached; set finetune.cache_frozen: false"):
        built(parameters(family, train_layers=1, cache_frozen=True), tmp_path / "models")


def test_more_layers_than_there_are_is_refused(tmp_path, parameters):
    with pytest.raises(InputError, match=r"finetune.train_layers = 4: roberta has 3 layers in use"):
        built(parameters("roberta", train_layers=4), tmp_path / "models")
    with pytest.raises(InputError, match=r"finetune.train_layers = 3: roberta has 2 layers in use"):
        built(parameters("roberta", train_layers=3, layers=2), tmp_path / "models")
    with pytest.raises(InputError, match=r"base_model.layers = 4: roberta has 3 layers"):
        built(parameters("roberta", layers=4), tmp_path / "models")


@pytest.mark.parametrize("family", ["roberta", "distilbert", "mpnet", "modernbert", "qwen2", "llama", "gpt2"])
def test_the_lowest_layers_alone_are_those_of_the_whole(tmp_path, parameters, family):
    folder = base_folder(parameters(family), tmp_path / "models")
    ids = torch.arange(5, 21)[None]
    whole, part = load_network(folder, layers=None), load_network(folder, layers=2)
    seen = []
    layers_of(whole, advice="")[1][1].register_forward_hook(lambda _, __, out: seen.append(out))
    layers_of(part, advice="")[1][1].register_forward_hook(lambda _, __, out: seen.append(out))
    with torch.no_grad():
        whole(input_ids=ids)
        part(input_ids=ids)
    first, second = (out[0] if isinstance(out, tuple) else out for out in seen)
    torch.testing.assert_close(first, second)
    assert len(layers_of(part, advice="")[1]) == part.config.num_hidden_layers == 2


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "llama"])
def test_a_model_of_the_lowest_layers_learns_and_answers_from_its_folder(tmp_path, parameters, family):
    metrics, logits = trained(tmp_path / "model", parameters(family, layers=2, mode="top_layers", train_layers=1))
    assert metrics["validation"]["macro_f1"] > 0.9
    assert Predictor.load(tmp_path / "model", models_folder=tmp_path / "models").manifest.encoder.layers == 2
    assert np.isfinite(logits).all()


def test_bfloat16_trains_float32_weights_and_answers_alike(tmp_path, parameters, monkeypatch):
    from pipelines.models import encoder

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert encoder.compute_type("bfloat16", device="cpu") is torch.bfloat16
    assert encoder.compute_type("bfloat16", device="cuda:0") is torch.bfloat16
    assert encoder.compute_type("float32", device="cuda:0") is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert encoder.compute_type("bfloat16", device="cpu") is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    params = parameters("llama", precision="bfloat16")
    metrics, logits = trained(tmp_path / "model", params)
    assert metrics["validation"]["macro_f1"] > 0.9
    exact = Predictor.load(tmp_path / "model", precision="float32", models_folder=tmp_path / "models").predict_logits(
        pd.DataFrame({"text": TEXTS})
    )
    np.testing.assert_array_equal(exact.argmax(axis=1), logits.argmax(axis=1))
    assert 0 < np.abs(exact - logits).max() < 0.5
    assert {p.dtype for p in load_network(base_folder(params, tmp_path / "models"), layers=None).parameters()} == {
        torch.float32
    }
