"""Languages and regions that a domain may declare; `languages.yaml` lists them and the words that name a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelines.runtime.errors import InputError

FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Language:
    """Regions (ISO 3166), and beginnings of the words before account, telephone, personal and other numbers."""

    regions: tuple[str, ...]
    account: tuple[str, ...]
    phone: tuple[str, ...]
    person: tuple[str, ...]
    other: tuple[str, ...]


@cache
def languages() -> dict[str, Language]:
    """Return the supported languages by code (ISO 639)."""
    import yaml

    content = yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return {code: Language(**{name: tuple(words) for name, words in row.items()}) for code, row in content.items()}


def check_codes(domain: str, **given: Sequence[str]) -> None:
    """Raise InputError for a code of `languages` or `regions` that is not one of those supported."""
    known = {"languages": set(languages()), "regions": {at for item in languages().values() for at in item.regions}}
    for name, codes in given.items():
        if isinstance(codes, str) or not known[name].issuperset(codes):
            raise InputError(
                f"domain {domain!r}: invalid {name} = {codes!r}: expected a tuple of {', '.join(sorted(known[name]))}"
            )
