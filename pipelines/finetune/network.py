"""The network that is trained: base model with a PEFT adapter, pooled over its tokens, and a linear head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from pipelines.core.adapter import put_on
from pipelines.core.encoder import load_network, pool
from pipelines.core.errors import InputError

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

    def forward(self, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
        """What was given."""
        return inputs_embeds


class PassLayer(nn.Module):
    """Stands for a layer that was computed before; keeps the layers above it at their place and name."""

    def forward(self, hidden: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """What was given."""
        return hidden


def layers_of(network: Any) -> nn.ModuleList:
    """The stack of layers of a base model, as BERT-like encoders name it, or as decoders do."""
    stack = getattr(getattr(network, "encoder", None), "layer", None)
    if stack is None:
        stack = getattr(network, "layers", None)
    if stack is None:
        raise InputError(
            f"{type(network).__name__} names its layers in a way that is not known here; "
            "set finetune.mode: lora, finetune.train_layers: null and finetune.cache_frozen: false"
        )
    return stack


def split_at(network: Any, *, n_frozen: int) -> tuple[nn.Module, nn.Module]:
    """The frozen lower part, and the same network with that part passed through, sharing no trained weight."""
    stack = layers_of(network)
    if not hasattr(network, "embeddings"):
        raise InputError(
            f"{type(network).__name__}: its lower layers cannot be cached; set finetune.cache_frozen: false"
        )
    lower = LowerPart(network.embeddings, list(stack[:n_frozen]))
    network.embeddings = PassEmbeddings()
    for index in range(n_frozen):
        stack[index] = PassLayer()
    return lower.eval(), network


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
    n_layers: int,
    train_layers: int | None,
    stack_name: str,
    rank: int,
    alpha: int,
    targets: list[str] | str,
    dropout: float,
) -> Any:
    """PEFT's configuration for the layers that are trained."""
    from peft import LoraConfig

    trained = list(range(n_layers - train_layers, n_layers)) if train_layers is not None else None
    if mode == "top_layers":
        assert trained is not None
        return LoraConfig(target_modules=DUMMY_TARGET, modules_to_save=[f"{stack_name}.{index}" for index in trained])
    if trained is not None and targets == "all-linear":
        layers = "|".join(map(str, trained))
        targets, trained = rf".*{re.escape(stack_name)}\.({layers})\..*(query|key|value|dense|proj)$", None
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=targets,
        layers_to_transform=trained,
        layers_pattern=stack_name.rsplit(".", maxsplit=1)[-1] if trained is not None else None,
    )


def build(
    folder: Path,
    *,
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
    network = load_network(folder, dropout=dropout)
    stack_name = "encoder.layer" if hasattr(network, "encoder") else "layers"
    n_layers = len(layers_of(network)) if train_layers is not None else 0
    if train_layers is not None and train_layers > n_layers:
        raise InputError(f"finetune.train_layers = {train_layers}; {folder.name} has {n_layers} layers")
    lower: nn.Module | None = None
    if cache_frozen and train_layers is not None:
        lower, network = split_at(network, n_frozen=n_layers - train_layers)
    torch.manual_seed(seed)
    config = adapter_config(
        mode=mode,
        n_layers=n_layers,
        train_layers=train_layers,
        stack_name=stack_name,
        rank=rank,
        alpha=alpha,
        targets=targets,
        dropout=dropout,
    )
    return Classifier(put_on(network, config=config), n_labels=n_labels, pooling=pooling), lower
