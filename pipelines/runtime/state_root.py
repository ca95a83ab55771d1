"""The state root of a project, one in every layout of Git.

Imports the standard library and `errors` only: set-up asks it before an environment exists (`scripts/state_root.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pipelines.runtime.errors import StoreError


def state_root(root: Path, environment: Mapping[str, str]) -> Path:
    """Return `PERENNIAL_HOME` (absolute), else `.perennial/` of the main checkout, also from one of its worktrees.

    Raises StoreError when PERENNIAL_HOME is relative, or a file.
    """
    value = environment.get("PERENNIAL_HOME")
    if not value:
        return main_checkout(root) / ".perennial"
    if not Path(value).is_absolute():
        raise StoreError(f"invalid PERENNIAL_HOME = {value!r}: expected an absolute path")
    if not next(place for place in (Path(value), *Path(value).parents) if place.exists()).is_dir():
        raise StoreError(f"invalid PERENNIAL_HOME = {value!r}: expected a folder, and a file is there")
    return Path(value)


def main_checkout(root: Path) -> Path:
    """Return `root`, or for one below a linked worktree of Git the same folder of the main checkout.

    A bare repository has no main checkout: the folder is next to it. Git's files are read instead of asking Git, whose
    answer depends on variables and on who owns the folder; a submodule and a part of a larger repository are `root`.
    """
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
    link = top / ".git"
    if not link.is_file():
        return root
    own = top / link.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    if not (own / "commondir").is_file():
        return root
    common = (own / (own / "commondir").read_text(encoding="utf-8").strip()).resolve()
    config = common / "config"
    found = (
        re.search(r"^\s*worktree\s*=\s*(.+)$", config.read_text(encoding="utf-8"), re.M) if config.exists() else None
    )
    if found:  # of a submodule, whose repository is inside that of the whole
        main = (common / found[1].strip().strip('"')).resolve()
    elif common.name.startswith("."):
        main = common.parent
    else:  # a bare repository may have others next to it
        main = common.with_name(f"{common.name}.state")
    return main / root.relative_to(top)
