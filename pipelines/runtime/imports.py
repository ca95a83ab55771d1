"""Which modules of this project a module imports, read from its source: nothing is imported to find out."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "pipelines"


def imported(file: Path, *, root: Path) -> set[str]:
    """Return the absolute dotted names that a Python file imports, also inside functions; relative ones resolved."""
    names: set[str] = set()
    package = file.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def closure(modules: Iterable[str], *, root: Path) -> set[Path]:
    """Return every file of this project that the modules need to be imported, packages' `__init__.py` included."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        for file in _files(name, root=root) - found:
            found.add(file)
            waiting += [item for item in imported(file, root=root) if item.split(".")[0] == PACKAGE]
    return found


def _files(name: str, *, root: Path) -> set[Path]:
    """Return the file of a dotted name and the `__init__.py` of the packages above it; a name in a module has none."""
    path = root.joinpath(*name.split("."))
    packages = [folder for folder in (path, *path.parents) if folder != root and root in folder.parents]
    files = {folder / "__init__.py" for folder in packages} | {path.with_suffix(".py")}
    return {file for file in files if file.is_file()}
