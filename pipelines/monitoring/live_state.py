"""Live state of one registered model, in a folder of its own: another model under the same state root never sees it."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path

from pipelines.runtime.errors import ParamsError, StoreError
from pipelines.runtime.params import PARAMS_FILE, domain_path, section
from pipelines.runtime.state import home, locked, read_lines

logger = logging.getLogger(__name__)

MODEL_NAME = r"^[A-Za-z0-9_-]+$"  # it becomes a folder's name

# What an earlier version kept in the state root itself, whatever the registered model was.
EARLIER = ("predictions", "labels", "journal", "drift", "decisions.jsonl", "budget.jsonl")


def registered_model() -> str:
    """Name of this checkout's registered model; where params.yaml gives none, it is named after the domain's folder."""
    name = section("release").get("model_name")
    if name is None:
        return f"perennial-{domain_path().name}"
    if not isinstance(name, str) or not re.fullmatch(MODEL_NAME, name):
        raise ParamsError(f"{PARAMS_FILE}: release.model_name = {name!r}; letters, digits, '_' and '-' would be right")
    return name


def live_home() -> Path:
    """Folder of what happened to the registered model's live records: predictions, late labels, drift, decisions."""
    adopt_earlier(home())
    return home() / "live" / registered_model()


@functools.cache  # once a process: a warning is not repeated with every file that is read
def adopt_earlier(root: Path) -> None:
    """Move what an earlier version left in the state root to the one model that it can belong to; else warn.

    That is the one model that the release history names; a rename keeps every byte and every chain of hashes.
    """
    left = [name for name in EARLIER if (root / name).exists()]
    if not left:
        return
    live = root / "live"
    with locked(live):
        models = sorted({str(line["model"]) for line in read_lines(root / "history.jsonl")})
        for name in left if len(models) == 1 else ():
            old, new = root / name, live / models[0] / name
            if not old.exists() or new.exists():  # another process was faster, or the new place has a beginning
                continue
            try:
                new.parent.mkdir(parents=True, exist_ok=True)
                old.rename(new)
            except OSError as error:
                raise StoreError(f"{old} cannot be moved to {new}: {error.strerror}; move it by hand") from error
            logger.warning("moved %s of an earlier version to %s", old, new)
        left = [name for name in left if (root / name).exists()]
    if left:
        logger.warning(
            "%s in %s are of an earlier version and are not read; the release history names %s. Move them to "
            "%s/<registered model>/ of the model that they belong to, or remove them",
            ", ".join(left),
            root,
            ", ".join(models) or "no model",
            live,
        )
