"""Write the `README.md` of the DAG folder from the DAGs' docstrings: `python -m orchestration.pages FOLDER
[--check]`.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Sequence
from pathlib import Path

HEAD = """<!-- Generated from the docstrings of the DAG files by `make dag-pages`; edit those. -->

# DAGs

One section per DAG: what it does, what starts it, what it produces, what to do when it fails. Airflow shows the same text
on the DAG's page. `make graph` generates `graph.json` from `dvc.yaml`, and the package `orchestration/` turns it into tasks.
"""


def page(folder: Path) -> str:
    """Return the text of the folder's README: every DAG file's docstring, headings one level down."""
    parts = [HEAD]
    for file in sorted(folder.glob("*.py")):
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        if text is None:
            raise ValueError(
                f"{file} has no docstring: expected what it does, what starts it, what to do when it fails"
            )
        title, _, rest = text.partition("\n")
        parts.append(f"## [{title.lstrip('# ')}]({file.name})\n{rest}\n")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.pages", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="only report whether the page is stale")
    given = parser.parse_args(arguments)
    file, text = given.folder / "README.md", page(given.folder)
    stale = not file.is_file() or file.read_text(encoding="utf-8") != text
    if given.check and stale:
        sys.stderr.write(f"{file} is stale: a DAG's docstring has changed. Run: make dag-pages\n")
        return 1
    if stale:
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
