"""Parameters of a run on a laptop: a file and a window that override params.yaml, checked before anything starts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from pipelines.records.domain import load_domain
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import PARAMS_FILE, domain_path, overlay, parse_yaml, read_yaml
from pipelines.runtime.rewrite import rewrite
from pipelines.runtime.sections import check_sections
from pipelines.runtime.state import write_atomic


def prepare(root: Path, *, params: str | None, start: str | None, end: str | None) -> list[str]:
    """Lay a parameter file and a window over `params.yaml`, once every section is found right with them.

    Returns one `parameter: old -> new` for each value that moved. Raises ParamsError, with all that is wrong and nothing
    written, for a parameter, a section or a source that would stop a stage later.
    """
    changes = overlay(overlay_file(params), window(start, end))
    file = root / PARAMS_FILE
    before = read_yaml(file)
    text, moved = rewrite(file.read_bytes().decode(), changes)
    after = parse_yaml(text, name=PARAMS_FILE)
    check_sections(after, root=root, moved=[name for name in after if after[name] != before.get(name)])
    if moved:
        write_atomic(file, text.encode())
    return moved


def check(root: Path) -> None:
    """Hold every section of `params.yaml` to its model and load every file of the domain, before any stage starts.

    Raises ParamsError with all that is wrong with the parameters, InputError with the domain's file and line.
    """
    check_sections(read_yaml(root / PARAMS_FILE), root=root)
    domain = load_domain(domain_path(root))
    _ = domain.schema, domain.labeling_functions, domain.behaviors


def lay_over(root: Path, changes: dict[str, Any]) -> list[str]:
    """Change values in `params.yaml`, all else kept; returns one `parameter: old -> new` for each value that moved.

    Raises ParamsError for a section that `params.yaml` does not have.
    """
    file = root / PARAMS_FILE
    known = set(read_yaml(file))
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ParamsError(f"{PARAMS_FILE} has no section {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    text, moved = rewrite(file.read_bytes().decode(), changes)
    if moved:
        write_atomic(file, text.encode())
    return moved


def window(start: str | None, end: str | None) -> dict[str, Any]:
    """Changes that set the ingest window; ParamsError when a day is not ISO or the window is empty."""
    if start is None and end is None:
        return {}
    try:
        first, last = date.fromisoformat(start or ""), date.fromisoformat(end or "")
    except ValueError:
        raise ParamsError(f"START = {start!r}, END = {end!r}; two days such as 2025-01-06 would be right") from None
    if first >= last:
        raise ParamsError(f"START = {start} is not before END = {end}; the window is half-open, [START, END)")
    return {"ingest": {"start": first.isoformat(), "end": last.isoformat()}}


def overlay_file(path: str | None) -> dict[str, Any]:
    """Content of a parameter file that is laid over `params.yaml`, days as text: DVC cannot hash YAML's own dates."""
    if path is None:
        return {}
    if not path:
        raise ParamsError("no parameter file was named; `make run PARAMS=file.yaml` would be right")
    if not Path(path).is_file():
        raise ParamsError(f"PARAMS = {path}: there is no such file; `make run PARAMS=file.yaml` would be right")
    return dict(_days_as_text(read_yaml(Path(path))))


def _days_as_text(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _days_as_text(value) for key, value in content.items()}
    return content.isoformat() if isinstance(content, date) else content
