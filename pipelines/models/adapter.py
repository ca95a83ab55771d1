"""A PEFT adapter on the base model: added for training, saved and loaded, and merged for inference."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import InputError

ADAPTER_FILE, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"  # PEFT's own names
HEAD_FILE = "head.safetensors"


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Hide a warning that no user can act on: PEFT 0.21 reads a property that transformers 5.23 deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*is_gradient_checkpointing.*")
        yield


def add_adapter(network: Any, *, config: Any) -> Any:
    """Return the base model with an untrained adapter; torch's generator draws its weights, so seed it first.

    Raises InputError when the base model lacks the modules that the configuration names.
    """
    from peft import get_peft_model

    with quiet_peft():
        try:
            return get_peft_model(network, config)
        except ValueError as error:
            raise InputError(
                f"{type(network).__name__} lacks the modules that the adapter needs ({error}); "
                "for this model set finetune.mode: lora and finetune.train_layers: null"
            ) from error


def save_adapter(network: Any, folder: Path, *, base_model: str, revision: str) -> None:
    """Write adapter and configuration as PEFT reads them, with the base model's name instead of a path."""
    from peft.utils import get_peft_model_state_dict
    from safetensors.torch import save

    weights = get_peft_model_state_dict(network, save_embedding_layers=False)
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}
    # One key of metadata: with more, their order changes the bytes. Python writes the file: its error on a full disk
    # names the cause.
    (folder / ADAPTER_FILE).write_bytes(save(tensors, metadata={"format": "pt"}))
    config = network.peft_config["default"].to_dict()
    config.update(base_model_name_or_path=base_model, revision=revision, inference_mode=True)
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True, default=str) + "\n")


def load_merged(network: Any, folder: Path) -> Any:
    """Return the base model with the adapter of `folder` merged into its weights; InputError when it does not fit."""
    from peft import PeftModel

    with quiet_peft():
        try:
            wrapped = PeftModel.from_pretrained(network, str(folder))
        except (ValueError, RuntimeError, KeyError) as error:
            raise InputError(f"{folder}: the adapter does not fit the base model: {error}") from error
        return wrapped.merge_and_unload().eval()
