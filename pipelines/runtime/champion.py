"""The pinned champion: what `data/champion.json` says and what stands in `data/champion/`, digests checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError
from pipelines.runtime.store import file_digest, folder_digest

if TYPE_CHECKING:
    import pandas as pd

CHAMPION_FILE = Path("data/champion.json")
CHAMPION_FOLDER = Path("data/champion")

# Parts of a version that later runs compare with, each with the key of its digest in champion.json.
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
    decisions_used: int  # decisions that were made on the anchor set so far
    anchor_best: dict[str, Any]  # {"version", "macro_f1"} of the best champion so far on the anchor set
    folder: Path
    content: dict[str, Any]

    def anchor(self) -> pd.DataFrame:
        """Records of the frozen anchor set, as `split` cut them for the first release."""
        return self._frame("anchor.parquet")

    def anchor_best_predictions(self) -> pd.DataFrame:
        """`id`, `label`: what the best champion so far answers on the anchor set."""
        return self._frame("anchor_best.parquet")

    def trained_ids(self) -> set[str]:
        """Ids of the rows this champion has seen in training or validation."""
        return set(self._frame("trained_ids.parquet")["id"].astype(str))

    @property
    def model_folder(self) -> Path:
        """Folder that `Predictor.load` takes."""
        return self.folder / "model"

    def _frame(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self.folder / name)


def read_champion(root: Path | None = None) -> Champion | None:
    """The pinned champion, or None where none is pinned.

    Raises InputError when `champion.json` is missing or broken, or when a file below `data/champion/` is missing or
    has another digest than the one that was pinned.
    """
    root = root or Path.cwd()
    file, folder = root / CHAMPION_FILE, root / CHAMPION_FOLDER
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["version"]
    except FileNotFoundError:
        raise InputError(f"{CHAMPION_FILE} is missing; `python -m pipelines.live.release pin` writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{CHAMPION_FILE} is broken ({error!r}); `python -m pipelines.live.release pin` mends it"
        ) from None
    if version is None:
        return None
    for part, key in PARTS.items():
        target = folder / part
        if not target.exists():
            raise InputError(f"{CHAMPION_FOLDER / part} is missing; run `dvc pull {CHAMPION_FOLDER}` or pin again")
        found = folder_digest(target) if target.is_dir() else file_digest(target)
        if found != content.get(key):
            raise InputError(
                f"{CHAMPION_FOLDER / part} has digest {found[:12]}, {CHAMPION_FILE} says "
                f"{str(content.get(key))[:12]}: changed since; pin it again with `python -m pipelines.live.release pin`"
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
        raise InputError(
            f"{CHAMPION_FILE} lacks {error}; `python -m pipelines.live.release pin` writes it anew"
        ) from None
