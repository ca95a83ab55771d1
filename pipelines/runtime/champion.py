"""The pinned champion: `data/champion.json` and the files in `data/champion/`, digests checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.store import Store, file_digest, folder_digest

if TYPE_CHECKING:
    import pandas as pd

CHAMPION_FILE = Path("data/champion.json")
CHAMPION_FOLDER = Path("data/champion")
NOT_COMPARED = "not_compared"  # key of champion.json: why a run is compared with no champion although there may be one

# Parts of a version that later runs compare with, and the key of each digest in champion.json.
PARTS = {
    "model": "model_digest",
    "profile": "profile_digest",
    "anchor.parquet": "anchor_digest",
    "anchor_best.parquet": "anchor_best_digest",
    "trained_ids.parquet": "trained_ids_digest",
}


@dataclass(frozen=True)
class Champion:
    """A pinned champion; paths are below `data/champion/`."""

    version: int
    model_name: str
    model_digest: str
    domain: str
    labels: tuple[str, ...]
    decisions_used: int  # decisions made on the fixed test set so far
    anchor_best: dict[str, Any]  # {"version", "macro_f1"} of the best champion so far on the fixed test set
    folder: Path
    content: dict[str, Any]

    def anchor(self) -> pd.DataFrame:
        """Return the records of the fixed test set (`anchor`), as `split` drew them for the first release."""
        return self._frame("anchor.parquet")

    def anchor_best_predictions(self) -> pd.DataFrame:
        """Return `id`, `label`: the answers of the best champion so far on the fixed test set."""
        return self._frame("anchor_best.parquet")

    def trained_ids(self) -> set[str]:
        """Return the ids of the rows that this champion has seen in training or validation."""
        return set(self._frame("trained_ids.parquet")["id"].astype(str))

    @property
    def model_folder(self) -> Path:
        """Folder that `Predictor.load` takes."""
        return self.folder / "model"

    def _frame(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self.folder / name)


def why_not_compared(store: Store) -> str | None:
    """Return why this run is compared with no champion on purpose; None for every other run."""
    content = json.loads((store.folder / "champion.json").read_text(encoding="utf-8"))
    reason = content.get(NOT_COMPARED)
    return str(reason) if reason else None


def read_champion(store: Store) -> Champion | None:
    """Return the pinned champion, or None where none is pinned.

    Raises InputError when `champion.json` is missing or broken, or when a file in `champion/` is missing or has
    another digest than the pinned one.
    """
    file, folder = store.folder / "champion.json", store.folder / "champion"
    pin = "`python -m pipelines pin`"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["version"]
    except FileNotFoundError:
        raise InputError(f"{file} is missing; {pin} writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is broken ({error!r}); {pin} writes it again") from None
    if version is None:
        return None
    for part, key in PARTS.items():
        target = folder / part
        if not target.exists():
            raise InputError(f"{target} is missing; run `dvc pull {CHAMPION_FOLDER}` or {pin}")
        found = folder_digest(target) if target.is_dir() else file_digest(target)
        if found != content.get(key):
            raise InputError(
                f"{target} was changed: its digest is {found[:12]}, {file.name} has {str(content.get(key))[:12]}; "
                f"{pin} fetches it again"
            )
    try:
        return Champion(
            version=int(version),
            model_name=content["model_name"],
            model_digest=content["model_digest"],
            domain=content["domain"],
            labels=tuple(content["labels"]),
            decisions_used=int(content["decisions_used"]),
            anchor_best=dict(content["anchor_best"]),
            folder=folder,
            content=content,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} lacks {error}; {pin} writes it again") from None
