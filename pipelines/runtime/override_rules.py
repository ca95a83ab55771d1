"""What an override of a run may not name: code, other databases, and files outside the data folder.

A commit of the repository and a variable of the machine may: those who fill in a form or hand over a parameter file are
not those who operate the machine (docs/security.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DOMAINS, SOURCES = "PERENNIAL_DOMAINS", "PERENNIAL_SOURCES"
SQL_VARIABLE = re.compile(r"PERENNIAL_SQL_URL[A-Z0-9_]*")
# What reads or writes outside the tables of a database, in the databases that docs/sources.md names.
OUTSIDE_TABLES = re.compile(
    r"\b(read_\w+|\w+_scan|glob|attach|copy|load_\w+|pg_read\w*|pg_ls\w*|lo_import|lo_export|dblink\w*|openrowset|"
    r"into|insert|update|delete|drop|alter|create|truncate|grant|call|execute|exec|pragma|install)\b|\b(from|join)\s*['\"]",
    re.IGNORECASE,
)
PATTERN = re.compile(r"[*?\[]")


def refused(
    before: Mapping[str, Any], after: Mapping[str, Any], *, root: Path, environment: Mapping[str, str]
) -> list[str]:
    """Return one line for each changed value of a whole params.yaml that an override may not have."""
    rules: dict[str, Callable[[Any], str | None]] = {
        "domain": lambda value: _domain(value, root=root, environment=environment),
        "ingest.sql.address_variable": _address_variable,
        "ingest.sql.query": _query,
        "ingest.cfpb.address": lambda _: (
            "the value in the repository; the variable PERENNIAL_CFPB_URL of the machine names another"
        ),
        "ingest.files.paths": lambda value: _paths(value, root=root, environment=environment),
    }
    lines = []
    for name, rule in rules.items():
        value = _value(after, name)
        if value is None or value == _value(before, name):
            continue
        accepted = rule(value)
        if accepted is not None:
            lines.append(f"  invalid override {name} = {value!r}: expected {accepted}")
    return lines


def inside(folder: Path, places: str | None) -> bool:
    """Return whether a resolved folder is one of `places`, a list like PATH, or below one of them."""
    listed = [Path(place).resolve() for place in (places or "").split(os.pathsep) if place]
    return any(folder.is_relative_to(place) for place in listed)


def _value(content: Mapping[str, Any], name: str) -> Any:
    value: Any = content
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _domain(value: Any, *, root: Path, environment: Mapping[str, str]) -> str | None:
    """Return what is accepted instead of a domain, or None: one in the repository, outside its outputs and hidden folders."""
    folder, top = (root / str(value)).resolve(), root.resolve()
    if folder.is_relative_to(top):
        first = [part for part in folder.relative_to(top).parts if part.startswith(".") or part == "data"]
        if not first:
            return None
    elif inside(folder, environment.get(DOMAINS)):
        return None
    return (
        f"a folder of the repository such as pipelines/domains/complaints, or one that {DOMAINS} of the machine lists"
    )


def _address_variable(value: Any) -> str | None:
    accepted = isinstance(value, str) and SQL_VARIABLE.fullmatch(value)
    return None if accepted else "a variable whose name begins with PERENNIAL_SQL_URL"


def _query(value: Any) -> str | None:
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", str(value), flags=re.DOTALL).strip().rstrip(";")
    outside = OUTSIDE_TABLES.search(text)
    if re.match(r"(select|with)\b", text, re.IGNORECASE) and ";" not in text and outside is None:
        return None
    return f"one SELECT from tables of the database{f', without {outside[0]!r}' if outside else ''}"


def _paths(value: Any, *, root: Path, environment: Mapping[str, str]) -> str | None:
    """Return what is accepted instead of source paths, or None: below the data folder or a listed place."""
    folder = Path(environment.get("PERENNIAL_DATA") or root).resolve()
    listed = [place for place in (environment.get(SOURCES) or "").split() if place]
    for path in map(str, value if isinstance(value, list) else [value]):
        if "://" in path or "::" in path:
            if ".." not in path and any(
                "://" in place and path.startswith(place.rstrip("/") + "/") for place in listed
            ):
                continue
        else:
            fixed = PATTERN.split(path, maxsplit=1)[0]
            real = (folder / fixed).resolve()
            if ".." not in Path(path).parts and any(
                real.is_relative_to(place)
                for place in (folder, *(Path(item).resolve() for item in listed if "://" not in item))
            ):
                continue
        return f"paths below the data folder {folder} (PERENNIAL_DATA), or below a place that {SOURCES} of the machine lists"
    return None
