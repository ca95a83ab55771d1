"""Numbers that identify a person or an account: candidates by pattern, decided by check digits, plans and context.

Everything here works on plain text (`plain_of`): every digit an ASCII digit, every dash a hyphen, every space a space,
at the same places as in the original. Check digits are those of python-stdnum, telephone plans those of phonenumbers.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Any

from pipelines.records.formats import NAMED, Formats

Span = tuple[int, int, str]  # first place, place after the last, kind

# A run of digits with usual separators; the rest of this module looks inside such runs.
RUN = re.compile(r"[0-9](?:[ ./()-]{0,3}[0-9])*")
FEWEST = 7  # digits of a run
TABLE = 120  # characters: a longer run is a table of figures
LETTER_NEXT = re.compile("[A-Za-z]0|[A-Z] 0|0[A-Za-z]")  # letters next to a run, which is the zero
DIGITS = re.compile(r"[0-9]+")
DATE = re.compile(
    r"(?<![0-9./-])(?:[0-3]?[0-9]([./-])[0-3]?[0-9]\1(?:[0-9]{4}|[0-9]{2})(?!\1?[0-9])"
    r"|[0-9]{4}([./-])[01]?[0-9]\2[0-3]?[0-9](?!\2?[0-9]))(?![0-9])"
)
YEARS = re.compile(r"(?:(?:19|20)[0-9]{2}[ ./-]*){2,}")
THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:([ .])[0-9]{3})(?:\1[0-9]{3})*")
DECIMAL = re.compile(r"[1-9][0-9]*\.[0-9]+")
CURRENCY = re.compile(
    r"[$€£¥₹₩₽฿]|[元円원]|(?:EUR|USD|GBP|CHF|JPY|CNY|RMB|BRL|INR|PLN|KG|KM|CM|MM|ML|MB|GB|KB)\b", re.IGNORECASE
)
# 13 to 19 digits in any usual grouping; cards of the big issuers begin with 2 to 6.
CARD = re.compile(r"\b[2-6][0-9]{3}(?:[ -]?[0-9]){9,15}\b", re.ASCII)
SSN = re.compile(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b|\b[0-9]{3} [0-9]{2} [0-9]{4}\b", re.ASCII)
BARE = re.compile(r"(?<![A-Za-z0-9_.$,{-])[0-9]{9,34}\b", re.ASCII)
GROUPED_ACCOUNT = re.compile(r"[0-9]{2,10}(?:[ ./-][0-9]{1,10}){0,8}")
IBAN_UNGROUPED = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
IBAN_GROUPS = re.compile(r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){3,7}(?:[ -]?[0-9A-Z]{1,3})?")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")


@lru_cache(maxsize=2)
def runs_of(plain: str) -> list[tuple[int, int]]:
    """Return first and last place of each run of at least seven digits."""
    return [match.span() for match in RUN.finditer(plain) if sum(map(str.isdigit, match[0])) >= FEWEST]


def within_runs(pattern: re.Pattern[str], plain: str, *, fewest: int = FEWEST) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern of digits in the runs, and in the sign and bracket before them."""
    for first, end in runs_of(plain):
        if end - first >= fewest:
            yield from pattern.finditer(plain, max(0, first - 2), end + 1)


def card_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield payment cards: 13 to 19 digits that pass Luhn; among order numbers only lengths that issuers use."""
    for match in within_runs(CARD, plain, fewest=13):
        digits = re.sub(r"\D", "", match[0])
        usual = len(digits) == (15 if digits[0] == "3" else 16)
        if _module("luhn").is_valid(digits) and (usual or formats.name_of(plain, match.start()) != "other"):
            yield (*match.span(), "card")


def ssn_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield numbers in the groups of a social security number of the United States."""
    yield from ((*match.span(), "ssn") for match in within_runs(SSN, plain))


def iban_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield IBANs, in groups or not, whose check digits are right, or that a word for an account precedes."""
    place = 0
    while match := IBAN.search(plain, place):
        first, place = match.start(), match.start() + 4
        named = formats.name_of(plain, first) == "account"
        for end in range(match.end(), first + 14, -1):
            inside, after = plain[first:end], plain[end : end + 1]
            if not inside[-1].isalnum() or (after.isascii() and after.isalnum()):
                continue
            unchecked = IBAN_UNGROUPED.fullmatch(inside) or (named and IBAN_GROUPS.fullmatch(inside))
            if unchecked or _module("iban").is_valid(inside):
                yield first, end, "account"
                place = end
                break


def personal_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield national identity, tax and insurance numbers by their check digits, or after a word that names one."""
    end = 0
    found = sorted(
        match.span()
        for begin, until in merged(_places(plain))
        for pattern, module in formats.personal
        for match in pattern.finditer(plain, begin, until)
        if _is_personal(match[0], module, formats.name_of(plain, match.start()))
    )
    for first, last in found:
        if first >= end:
            yield first, last, "id"
            end = last


def _places(plain: str) -> Iterator[tuple[int, int]]:
    """Yield where ids may be: around runs of seven digits, and of fewer with a letter next to them."""
    for match in RUN.finditer(plain):
        first, end = match.span()
        if FEWEST <= end - first <= TABLE or LETTER_NEXT.search(
            f"{plain[max(0, first - 2) : first]}0{plain[end : end + 1]}"
        ):
            yield first - 8, end + 16


def merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals, given in order, with those that meet as one, none before the beginning."""
    found: list[tuple[int, int]] = []
    for first, end in places:
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((max(0, first), end))
    return found


def _is_personal(text: str, module: str, name: str) -> bool:
    if name in ("other", "phone") or module in ("", NAMED):
        return name == "person" or (module == "" and name != "other")
    return bool(_module(module).is_valid(text))


@cache
def _module(name: str) -> Any:
    return importlib.import_module(f"stdnum.{name}")


def account_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield numbers in groups after a word for an account or a person, and bare runs of 9 or more digits.

    A number that the nearest word calls an order, an invoice or the like stays.
    """
    kinds = {"account": "account", "person": "id"}
    for match in within_runs(BARE, plain, fewest=9):
        name = formats.name_of(plain, match.start())
        if name != "other":
            yield (*match.span(), kinds.get(name, "account"))
    for first, end in runs_of(plain):
        if GROUPED_ACCOUNT.fullmatch(plain, first, end) and not is_figure(plain, first, end):
            name = formats.name_of(plain, first)
            if name in kinds:
                yield first, end, kinds[name]


def is_figure(plain: str, first: int, end: int) -> bool:
    """Return whether a run of digits is an amount or years rather than the number of somebody."""
    text, before, after = plain[first:end], plain[max(0, first - 2) : first], plain[end : end + 4]
    amount = (
        CURRENCY.search(before)
        or CURRENCY.match(after.lstrip())
        or after.lstrip()[:1] == "%"
        or DECIMAL.fullmatch(text)
    )
    decimal = re.match(r"[.,][0-9]", after) or before[-1:] in {".", ",", "{"}
    return bool(amount or decimal or YEARS.fullmatch(text) or DATE.search(plain, max(0, first - 1), end + 1))
