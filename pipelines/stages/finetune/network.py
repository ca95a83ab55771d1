"""The network that is trained: base model with a PEFT adapter, pooled over its tokens, and a linear head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from pipelines.models.adapter import put_on
from pipelines.models.encoder import layers_of, load_network, pool
from pipelines.runtime.errors import InputError

OTHERWISE = "finetune.mode: lora, finetune.train_layers: null and finetune.cache_frozen: false"
DUMMY_TARGET = "dummy-target-modules"  # PEFT's word for "no low-rank adapter, only modules_to_save"


class Classifier(nn.Module):
    """Logits of token ids, or of the frozen layers' activations of them."""

    def __init__(self, network: nn.Module, *, n_labels: int, pooling: str) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(int(network.config.hidden_size), n_labels)  # type: ignore[union-attr, arg-type]
        self.pooling = pooling

    def forward(
        self, mask: torch.Tensor, ids: torch.Tensor | None = None, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One logit a label for each text of a padded batch."""
        given = {"input_ids": ids} if hidden is None else {"inputs_embeds": hidden}
        states = self.network(attention_mask=mask, **given).last_hidden_state
        return self.head(pool(states, mask=mask, pooling=self.pooling))


class PassEmbeddings(nn.Module):
    """Stands for embeddings that were computed before."""

    def forward(self, *given: Any, **named: Any) -> torch.Tensor:
        """What was given: ids are integers or absent, hidden states are not."""
        tensors = [value for value in (*given, *named.values()) if isinstance(value, torch.Tensor)]
        return next(tensor for tensor in tensors if tensor.is_floating_point())


class PassLayer(nn.Module):
    """Stands for a layer that was computed before; keeps the layers above it at their place and name."""

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """What was given."""
        return hidden


def split_at(network: Any, *, n_frozen: int) -> tuple[nn.Module, nn.Module]:
    """The frozen lower part, and the same network with that part passed through, sharing no trained weight.

    Families differ in what their layers get beside the hidden states (relative positions, masks), so both parts are
    tried on a few tokens: where they do not give what the whole gives, the layers cannot be computed apart.
    """
    refusal = f"{type(network).__name__}: its lower layers cannot be cached; set finetune.cache_frozen: false"
    if not hasattr(network, "embeddings"):
        raise InputError(refusal)
    _, stack = layers_of(network, otherwise=OTHERWISE)
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
        raise InputError(f"{refusal} (computed apart they give other numbers)")
    return lower, network


class LowerPart(nn.Module):
    """Embeddings and the frozen layers, on batches without padding."""

    def __init__(self, embeddings: nn.Module, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.layers = nn.ModuleList(layers)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states after the last frozen layer."""
        hidden = self.embeddings(input_ids=ids)
        for layer in self.layers:
            hidden = layer(hidden, None)
        return hidden


def adapter_config(
    *,
    mode: Literal["top_layers", "lora"],
    stack_name: str,
    stack: nn.ModuleList,
    train_layers: int | None,
    rank: int,
    alpha: int,
    targets: list[str] | str,
    dropout: float,
    transposed: bool,
) -> Any:
    """PEFT's configuration for the layers that are trained."""
    from peft import LoraConfig

    trained = list(range(len(stack) - train_layers, len(stack))) if train_layers is not None else None
    if mode == "top_layers":
        assert trained is not None
        return LoraConfig(target_modules=DUMMY_TARGET, modules_to_save=[f"{stack_name}.{index}" for index in trained])
    if trained is not None and targets == "all-linear":
        linear = {n for index in trained for n, m in stack[index].named_modules() if isinstance(m, nn.Linear | Conv1D)}
        layers, names = "|".join(map(str, trained)), "|".join(map(re.escape, sorted(linear)))
        targets, trained = rf"{re.escape(stack_name)}\.({layers})\.({names})", None
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=targets,
        layers_to_transform=trained,
        layers_pattern=stack_name.rsplit(".", maxsplit=1)[-1] if trained is not None else None,
        fan_in_fan_out=transposed,
    )


def build(
    folder: Path,
    *,
    layers: int | None,
    n_labels: int,
    pooling: str,
    mode: Literal["top_layers", "lora"],
    train_layers: int | None,
    cache_frozen: bool,
    rank: int,
    alpha: int,
    targets: list[str] | str,
    dropout: float,
    seed: int,
) -> tuple[Classifier, nn.Module | None]:
    """The classifier with a seeded adapter and head, and the frozen lower part where it is computed apart."""
    network = load_network(folder, layers=layers, dropout=dropout)
    stack_name, stack = "", nn.ModuleList()
    lower: nn.Module | None = None
    if train_layers is not None:
        stack_name, stack = layers_of(network, otherwise=OTHERWISE)
        if train_layers > len(stack):
            raise InputError(
                f"finetune.train_layers = {train_layers}; of {folder.name} {len(stack)} layers are used: at most that "
                "would be right, or more of them (base_model.layers)"
            )
        if cache_frozen:
            lower, network = split_at(network, n_frozen=len(stack) - train_layers)
    torch.manual_seed(seed)
    config = adapter_config(
        mode=mode,
        stack_name=stack_name,
        stack=stack,
        train_layers=train_layers,
        rank=rank,
        alpha=alpha,
        targets=targets,
        dropout=dropout,
        transposed=any(isinstance(module, Conv1D) for module in network.modules()),  # as GPT-2 keeps its weights
    )
    return Classifier(put_on(network, config=config), n_labels=n_labels, pooling=pooling), lower
