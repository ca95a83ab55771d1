"""Where benchmarks write: figures to benchmarks/out/, tables to one marked section each of benchmarks/README.md."""

import json
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"
FOLDER = Path(__file__).parent / "out"


def write_figures(name: str, figures: Any) -> None:
    """Write the figures to benchmarks/out/<name>.json."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_section(name: str, text: str) -> None:
    """Replace the section between `<!-- name -->` and `<!-- /name -->`, or append it."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    content = README.read_text(encoding="utf-8") if README.exists() else "# Benchmarks\n"
    block = f"{begin}\n{text.strip()}\n{end}"
    if begin in content and end in content:
        head, rest = content.split(begin, 1)
        content = head + block + rest.split(end, 1)[1]
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    README.write_text(content, encoding="utf-8")
