"""Write `.dvc/config.local`: DVC's cache and remote in the state root, and its page for plots; any Python 3 runs it.

Places below the checkout are written relative to it, so that it may be moved, copied and mounted elsewhere. What else
the file holds, such as credentials of another remote, is kept.
"""

import os
import re
from pathlib import Path

from state_root import ROOT, find

FOLDER = ROOT / ".dvc"
PAGE = ROOT / ".venv" / "share" / "dvc-plots.html"
# A hardlink into the cache is safe only where its file mode prevents in-place writes, which it does not for root.
LINKS = "reflink,hardlink,copy" if os.getuid() else "reflink,copy"
NEW = f"""[core]
    remote = home
[cache]
    dir = dvc-cache
    type = "{LINKS}"
['remote "home"']
    url = dvc-remote
"""


def place(path: Path) -> str:
    """Return a path as a value of DVC's configuration: relative to `.dvc/` where it can be, and quoted."""
    text = os.path.relpath(path, FOLDER) if ROOT in path.parents else str(path)
    quote = next(mark for mark in ('"', "'", '"""', "'''") if mark not in text)
    return f"{quote}{text}{quote}"


def settings(present: str, home: Path) -> str:
    """Return the text of the file with the places of this checkout."""
    for key, name in (("dir", "dvc-cache"), ("url", "dvc-remote")):
        line = re.compile(rf"^(\s*{key} = ).*{name}[\"']*$", re.MULTILINE)
        if not line.search(present):
            return settings(NEW, home)
        value = place(home / name).replace("\\", r"\\")
        present = line.sub(rf"\1{value}", present)
    page = re.search(r"^\s*html_template = (.*)\n", present, re.MULTILINE)
    if not PAGE.is_file() or (page and (FOLDER / page[1].strip("\"'")).is_file()):  # or a page that someone chose
        return present
    present = present.replace(page[0], "") if page else present
    section = "" if "[plots]\n" in present else "[plots]\n"
    return f"{present}{section}".replace("[plots]\n", f"[plots]\n    html_template = {place(PAGE)}\n")


def main() -> None:
    """Write the file, whole or not at all, where it is not that of this checkout and state root."""
    home, file = find(), FOLDER / "config.local"
    present = file.read_text(encoding="utf-8") if file.exists() else NEW
    wanted = settings(present, home)
    if file.exists() and wanted == present:
        return
    for name in ("dvc-cache", "dvc-remote"):
        (home / name).mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(wanted, encoding="utf-8")
    partial.replace(file)


if __name__ == "__main__":
    main()
