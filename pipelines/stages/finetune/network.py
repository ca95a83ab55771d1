"""The network that is trained: base model with a PEFT adapter, pooled over its tokens, and a linear head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from pipelines.models.adapter import add_adapter
from pipelines.models.encoder import layers_of, load_network, pool
from pipelines.runtime.errors import InputError
from pipelines.stages.finetune.params import FinetuneParams

ADVICE = "finetune.mode: lora, finetune.train_layers: null and finetune.cache_frozen: false"
DUMMY_TARGET = "dummy-target-modules"  # PEFT's name for "no low-rank adapter, only modules_to_save"


class Classifier(nn.Module):
    """Computes logits from token ids, or from the frozen layers' activations."""

    def __init__(self, network: nn.Module, *, n_labels: int, pooling: str) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(int(network.config.hidden_size), n_labels)  # type: ignore[union-attr, arg-type]
        self.pooling = pooling

    def forward(
        self, mask: torch.Tensor, ids: torch.Tensor | None = None, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return one logit per label for each text of a padded batch, shape (n, labels)."""
        given = {"input_ids": ids} if hidden is None else {"inputs_embeds": hidden}
        states = self.network(attention_mask=mask, **given).last_hidden_state
        return self.head(pool(states, mask=mask, pooling=self.pooling))


class PassEmbeddings(nn.Module):
    """Replaces embeddings that were computed before."""

    def forward(self, *given: Any, **named: Any) -> torch.Tensor:
        """Return the hidden states among the arguments; ids are integers or absent."""
        tensors = [value for value in (*given, *named.values()) if isinstance(value, torch.Tensor)]
        return next(tensor for tensor in tensors if tensor.is_floating_point())


class PassLayer(nn.Module):
    """Replaces a layer that was computed before, so that the layers above it keep their index and name."""

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Return the hidden states."""
        return hidden


def split_at(network: Any, *, n_frozen: int) -> tuple[nn.Module, nn.Module]:
    """Return the frozen lower part, and the same network without it; they share no trained weight.

    The layers of some families take more than the hidden states (relative positions, masks), so both parts are tried on
    a few tokens. Raises InputError when together they do not give the result of the whole network.
    """
    refusal = f"{type(network).__name__}: its lower layers cannot be cached; set finetune.cache_frozen: false"
    if not hasattr(network, "embeddings"):
        raise InputError(refusal)
    _, stack = layers_of(network, advice=ADVICE)
    ids = torch.arange(4, 16).remainder(int(network.config.vocab_size))[None]
    mask = torch.ones_like(ids)
    lower = LowerPart(network.embeddings, list(stack[:n_frozen])).eval()
    with torch.no_grad():
        whole = network(input_ids=ids, attention_mask=mask).last_hidden_state
        network.embeddings = PassEmbeddings()
        for index in range(n_frozen):
            stack[index] = PassLayer()
        try:
            parts = network(inputs_embeds=lower(ids), attention_mask=mask).last_hidden_state
        except (TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise InputError(f"{refusal} ({type(error).__name__}: {error})") from error
    if parts.shape != whole.shape or not torch.allclose(parts, whole, atol=1e-4, rtol=1e-4):
        raise InputError(f"{refusal} (computed separately they give other numbers)")
    return lower, network


class LowerPart(nn.Module):
    """Embeddings and the frozen layers, on batches without padding."""

    def __init__(self, embeddings: nn.Module, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.layers = nn.ModuleList(layers)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the hidden states after the last frozen layer."""
        hidden = self.embeddings(input_ids=ids)
        for layer in self.layers:
            hidden = layer(hidden, None)
        return hidden


def adapter_config(params: FinetuneParams, *, stack_name: str, stack: nn.ModuleList, transposed: bool) -> Any:
    """Return PEFT's configuration for the layers that are trained.

    `stack` are the network's layers and `stack_name` their name in it; `transposed`: weights are kept as GPT-2 does.
    """
    from peft import LoraConfig

    lora, train_layers = params.lora, params.train_layers
    targets: list[str] | str = lora.targets
    trained = list(range(len(stack) - train_layers, len(stack))) if train_layers is not None else None
    if params.mode == "top_layers":
        assert trained is not None
        return LoraConfig(target_modules=DUMMY_TARGET, modules_to_save=[f"{stack_name}.{index}" for index in trained])
    if trained is not None and targets == "all-linear":
        linear = {n for index in trained for n, m in stack[index].named_modules() if isinstance(m, nn.Linear | Conv1D)}
        layers, names = "|".join(map(str, trained)), "|".join(map(re.escape, sorted(linear)))
        targets, trained = rf"{re.escape(stack_name)}\.({layers})\.({names})", None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=params.dropout,
        target_modules=targets,
        layers_to_transform=trained,
        layers_pattern=stack_name.rsplit(".", maxsplit=1)[-1] if trained is not None else None,
        fan_in_fan_out=transposed,
    )


def build(base: Path, *, params: FinetuneParams, n_labels: int, seed: int) -> tuple[Classifier, nn.Module | None]:
    """Return the classifier with a seeded adapter and head, and the frozen lower part if it is computed apart.

    `base` is the folder of the base model. Raises InputError when its layers do not fit the parameters.
    """
    network = load_network(base, layers=params.base_model.layers, dropout=params.dropout)
    stack_name, stack = "", nn.ModuleList()
    lower: nn.Module | None = None
    if params.train_layers is not None:
        stack_name, stack = layers_of(network, advice=ADVICE)
        if params.train_layers > len(stack):
            raise InputError(
                f"invalid finetune.train_layers = {params.train_layers}: {base.name} has {len(stack)} layers in use "
                "(base_model.layers): expected at most that"
            )
        if params.cache_frozen:
            lower, network = split_at(network, n_frozen=len(stack) - params.train_layers)
    torch.manual_seed(seed)
    transposed = any(isinstance(module, Conv1D) for module in network.modules())  # as GPT-2 keeps its weights
    config = adapter_config(params, stack_name=stack_name, stack=stack, transposed=transposed)
    pooling = params.base_model.pooling
    return Classifier(add_adapter(network, config=config), n_labels=n_labels, pooling=pooling), lower
