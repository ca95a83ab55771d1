"""Live state of one registered model, in its own folder: another model under the same state root never sees it."""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from pipelines.runtime.errors import StoreError
from pipelines.runtime.project import Project
from pipelines.runtime.state import locked, read_lines

logger = logging.getLogger(__name__)

# What an earlier version kept in the state root itself, whatever the registered model was.
EARLIER = ("predictions", "labels", "journal", "drift", "decisions.jsonl", "budget.jsonl")


def live_folder(project: Project) -> Path:
    """Return the folder of the registered model's live state: predictions, late labels, drift, decisions.

    Moves what an earlier version left in the state root there first. Raises StoreError when that fails.
    """
    adopt_earlier(project.state)
    return project.state / "live" / project.model_name


@functools.cache  # once per process: a warning is not repeated with every file that is read
def adopt_earlier(state: Path) -> None:
    """Move what an earlier version left in the state root to the one model that it can belong to, else warn.

    That is the only model that the release history names. A rename keeps every byte and every chain of hashes.
    """
    left = [name for name in EARLIER if (state / name).exists()]
    if not left:
        return
    live = state / "live"
    with locked(live):
        models = sorted({str(line["model"]) for line in read_lines(state / "history.jsonl")})
        for name in left if len(models) == 1 else ():
            old, new = state / name, live / models[0] / name
            if not old.exists() or new.exists():  # another process was faster, or the new folder has its own state
                continue
            try:
                new.parent.mkdir(parents=True, exist_ok=True)
                old.rename(new)
            except OSError as error:
                raise StoreError(f"{old} cannot be moved to {new}: {error.strerror}; move it by hand") from error
            logger.warning("moved %s of an earlier version to %s", old, new)
        left = [name for name in left if (state / name).exists()]
    if left:
        logger.warning(
            "%s in %s were written by an earlier version and are ignored; the release history names %s. Move them to "
            "%s/<registered model>/ of the model that they belong to, or remove them",
            ", ".join(left),
            state,
            ", ".join(models) or "no model",
            live,
        )
