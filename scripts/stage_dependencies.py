"""Write the code dependencies of every stage into dvc.yaml: `python scripts/stage_dependencies.py [--check]`.

A stage depends on its own folder and on every library folder that its line in pipelines/imports.yaml leads to.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "pipelines"


def folders_of(unit: str, table: dict[str, list[str]]) -> list[str]:
    """Return the folders that a unit of the import table needs: its own, then its libraries in the table's order."""
    needed, waiting = set(), list(table[unit])
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += table[name]
    return [f"{PACKAGE}/{name}" for name in (unit, *(name for name in table if name in needed))]


def generate(text: str, table: dict[str, list[str]]) -> str:
    """Return the text of dvc.yaml with the code dependencies of every stage generated, all else kept."""
    yaml = YAML()
    yaml.width = 4096
    yaml.preserve_quotes = True
    content: Any = yaml.load(text)
    for name, stage in content["stages"].items():
        own = [item for item in stage["deps"] if not item.startswith(f"{PACKAGE}/")]
        stage["deps"][:] = [*folders_of(f"stages/{name}", table), *own]
    out = io.StringIO()
    yaml.dump(content, out)
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Write dvc.yaml, or with `--check` report whether it is stale."""
    file = ROOT / "dvc.yaml"
    text = file.read_text(encoding="utf-8")
    table = YAML(typ="safe").load((ROOT / PACKAGE / "imports.yaml").read_text(encoding="utf-8"))
    made = generate(text, table)
    if "--check" in arguments:
        if made != text:
            sys.stderr.write(
                "dvc.yaml is stale: its dependencies differ from pipelines/imports.yaml; run `make graph`\n"
            )
            return 1
    elif made != text:
        file.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
