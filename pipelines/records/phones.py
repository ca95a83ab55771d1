"""Telephone numbers: how they are written in each region, by the numbering plans of phonenumbers (libphonenumber).

`PhoneNumberMatcher` takes a millisecond per text and region; here its metadata is applied to runs of digits only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pipelines.records.formats import Formats
from pipelines.records.identifiers import (
    DATE,
    DIGITS,
    FEWEST,
    TABLE,
    THOUSANDS,
    YEARS,
    Span,
    is_figure,
    runs_of,
    within_runs,
)

# North American numbers, with or without +1, and international ones that say so by a plus sign.
AMERICAN = re.compile(
    r"(?:\+?\b1[ .-]?)?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b"
    r"|\b[2-9][0-9]{2}[2-9][0-9]{6}\b",
    re.ASCII,
)
INTERNATIONAL = re.compile(r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{2,4}\)?){2,5}\b", re.ASCII)
AREA_CODE = re.compile(r"(?:[0-9][ .]?)?\((?!19|20)[0-9]{2,4}\)[ .-]?[0-9]{3}")  # a sign as good as a word
MAX_GROUPS = 16  # of digits in a row: more are a table of figures
LONGEST = 15  # digits


@dataclass(frozen=True)
class Plan:
    """The numbering plan of a region."""

    trunk: str  # digits before a national number, "" where there are none
    prefix: re.Pattern[str]  # what may be dialed before a national number
    instead: str | None  # what takes the place of that prefix
    valid: re.Pattern[str]
    lengths: tuple[int, ...]
    groupings: tuple[re.Pattern[str], ...]  # each with one group per group of digits

    def national(self, digits: str) -> str:
        """Return the digits without what is dialed before a national number."""
        found = self.prefix.match(digits)
        if not found or not found[0]:
            return digits
        kept = found.expand(self.instead) if self.instead and found.lastindex else ""
        short = kept + digits[found.end() :]
        return digits if self.valid.fullmatch(digits) and not self.valid.fullmatch(short) else short

    def groups_like(self, national: str, sizes: tuple[int, ...]) -> bool:
        """Return whether people there write a number in groups of such sizes."""
        matches = (pattern.fullmatch(national) for pattern in self.groupings)
        return any(match and tuple(map(len, match.groups())) == sizes for match in matches)


def international_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield numbers with a plus sign."""
    yield from ((*match.span(), "phone") for match in within_runs(INTERNATIONAL, plain))


def american_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield North American numbers; ten digits that the nearest word calls an order or the like stay."""
    if {"US", "CA"} & set(formats.regions):
        for match in within_runs(AMERICAN, plain):
            if not match[0].isdigit() or formats.name_of(plain, match.start()) != "other":
                yield (*match.span(), "phone")


def phone_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield other telephone numbers; what the nearest word calls an order or the like stays."""
    if runs_of(plain):
        undated = DATE.sub(lambda match: "\0" * len(match[0]), plain)
        for first, end in runs_of(undated):
            if end - first <= TABLE and not is_figure(undated, first, end):
                yield from _inside(first, end, undated, formats)


def _inside(begin: int, end: int, plain: str, formats: Formats) -> Iterator[Span]:
    """Yield the longest telephone numbers that begin and end with a group of digits of a run."""
    groups = [match.span() for match in DIGITS.finditer(plain, begin, end)]
    after, name, first = plain[end : end + 1], formats.name_of(plain, begin), 0
    if len(groups) > MAX_GROUPS or name == "other" or (after.isascii() and after.isalpha()):
        return
    while first < len(groups):
        opening = groups[first][0]
        while opening and plain[opening - 1] in "+(":
            opening -= 1
        for last in range(len(groups) - 1, first - 1, -1):
            if is_phone(plain[opening : groups[last][1]], name=name, formats=formats):
                yield opening, groups[last][1], "phone"
                first = last
                break
        first += 1


def is_phone(text: str, *, name: str, formats: Formats) -> bool:
    """Return whether digits with separators are a telephone number, given what a word before calls them."""
    groups = DIGITS.findall(text.replace("(0)", " "))
    digits = "".join(groups)
    if not FEWEST <= len(digits) <= LONGEST + 2:
        return False
    if text.lstrip("(").startswith("+") or (digits.startswith("00") and len(digits) > 9):
        return _is_international(digits.removeprefix("00"))
    if (
        name in ("account", "person")
        or YEARS.fullmatch(text)
        or len(digits) > LONGEST
        or (name != "phone" and not formats.declared and THOUSANDS.fullmatch(text))
    ):
        return False
    sizes, known = tuple(map(len, groups)), name == "phone" or bool(AREA_CODE.match(text))
    return _is_national(digits, sizes, known, formats.declared, formats.regions)


@lru_cache(maxsize=4096)
def _is_national(
    digits: str, sizes: tuple[int, ...], called_phone: bool, declared: bool, regions: tuple[str, ...]
) -> bool:
    """Return whether a number is one of a region: by the plan and a word, a leading zero, or the usual groups."""
    grouped, zero = len(sizes) > 1, digits[0] == "0" and len(digits) >= 9
    for region in regions:
        plan = plan_of(region)
        national = plan.national(digits)
        dialed = zero and (plan.trunk == "0" or region == "IT")
        if dialed and (grouped or called_phone) and len(national) in plan.lengths:
            return True
        if plan.valid.fullmatch(national) and (called_phone or dialed):
            return True
        usual = len(digits) >= 9 and len(sizes) >= (2 if declared else 3)
        if (usual or (declared and len(sizes) >= 4)) and plan.valid.fullmatch(national):
            trunk = (sizes[0] - len(digits) + len(national), *sizes[1:])
            if plan.groups_like(national, trunk):
                return True
    return False


def _is_international(digits: str) -> bool:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    for size in (1, 2, 3):
        regions = COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:size])) if digits[0] != "0" else None
        if regions and regions[0] != "001":
            return len(digits) - size in plan_of(regions[0]).lengths
    return False


@cache
def plan_of(region: str) -> Plan:
    """Return the numbering plan of a region."""
    from phonenumbers import PhoneMetadata
    from phonenumbers.data import _ALT_NUMBER_FORMATS

    data: Any = PhoneMetadata.metadata_for_region(region)
    kinds = (data.fixed_line, data.mobile, data.toll_free, data.shared_cost, data.personal_number, data.voip, data.uan)
    patterns = {kind.national_number_pattern for kind in kinds if kind is not None and kind.national_number_pattern}
    usual = [*data.number_format, *_ALT_NUMBER_FORMATS.get(data.country_code, ())]
    return Plan(
        trunk=data.national_prefix or "",
        prefix=re.compile(data.national_prefix_for_parsing or data.national_prefix or ""),
        instead=data.national_prefix_transform_rule,
        valid=re.compile("|".join(f"(?:{pattern})" for pattern in sorted(patterns))),
        lengths=tuple(data.general_desc.possible_length),
        groupings=tuple(re.compile(item.pattern) for item in usual),
    )
