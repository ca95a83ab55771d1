"""Personal data out of free text: e-mail addresses, cards, IBANs, national ids, telephone and account numbers.

Which formats there are depends on the languages and regions of the domain. One pass of polars' regex engine, linear in
the text, finds the few texts that may hold a number; only those are searched in Python. What the complaint database
has redacted itself (XXXX) and its amounts ({$240.00}) are left as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipelines.records import identifiers, phones
from pipelines.records.formats import Formats, formats_of, plain_of
from pipelines.records.identifiers import Span, merged

if TYPE_CHECKING:
    import polars as pl

LINE_ENDS = r"\r\n?|[\u{85}\u{2028}\u{2029}]"
CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x84\x86-\x9F\u{FEFF}]"

# Letters of an address are Latin, Greek or Cyrillic: in a sentence without spaces it ends where the script changes.
LETTER = r"[\w&&[\x00-\u{52F}\u{1E00}-\u{1FFF}]]"
EMAIL = rf"(?:{LETTER}|[.%+-])+@(?:{LETTER}|-)+(?:\.(?:{LETTER}|-)+)+"
FULL_WIDTH_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
# A number after the word account (or the like); ASCII classes and boundaries keep the engine on its fast automaton.
NAMED_ACCOUNT = (
    r"(?i)((?-u:\b)(?:account|acct|a/c|iban|routing|loan|policy)(?-u:\b)[^0-9\n{$]{0,20})"
    r"((?-u:\b)[A-Z]{0,4}[0-9][0-9-]{3,33}(?-u:\b))"
)
NAMED = re.compile(
    NAMED_ACCOUNT.replace(r"(?-u:\b)", r"\b", 1).replace("(?i)(", r"(?i)((?<!\[)").replace("(?-u:", "(?:"), re.ASCII
)
# What makes a place a candidate: seven digits with separators, three groups with points, or the middle of an id of
# digits and letters. All begin with a digit, which engines search ten times as fast as letters. Amounts do not match.
NUMBER = (
    r"[0-9](?:(?:[ /()-]?[ /()-]?[ /()-]?[0-9]){6}|[0-9]?[0-9]?[0-9]?\.[0-9]{2,4}\.[0-9]{2}"
    r"|[0-9] ?(?:[0-9]{2} ?[0-9]{2} ?[A-Da-d]|[A-Za-z][0-9]{2} ?[A-Za-z][0-9]{3})|[0-9]{5}\()"
)
PLACE = re.compile(NUMBER)
NUMBER_BEYOND_ASCII = r"\p{Nd}(?:[\p{Zs}\p{Pd}\p{Cf}\u{2212}\u{FF0E}\u{FF08}\u{FF09}./()]{0,3}\p{Nd}){6}|\u{FF20}"
AROUND = 60  # characters on either side of a place: the longest number and the words before it

TAX_NUMBER = r"[A-Za-z]{4}[0-9]{4}"  # of India and Mexico

KINDS = ("email", "card", "ssn", "id", "phone", "account")


def clean(texts: pl.Series) -> pl.Series:
    """Return texts in Unicode NFC, every line end a newline, without control characters but tab and newline."""
    import polars as pl

    column = pl.lit(texts).str.normalize("NFC").str.replace_all(LINE_ENDS, "\n").str.replace_all(CONTROL, "")
    return pl.select(
        column.alias(texts.name)
    ).to_series()  # one call of the engine instead of three saves time per live record


def redact(
    texts: pl.Series, *, languages: Sequence[str] = (), regions: Sequence[str] = ()
) -> tuple[pl.Series, dict[str, int]]:
    """Return texts with `[EMAIL]`, `[CARD]`, `[SSN]`, `[ID]`, `[PHONE]`, `[ACCOUNT]` in place of such data, and how
    many of each.

    Without languages the formats of all supported ones are looked for, without regions those of the languages.
    """
    counts = Counter(dict.fromkeys(KINDS, 0))
    if texts.str.contains("@", literal=True).any():
        counts["email"] = int(texts.str.count_matches(EMAIL).sum() or 0)
        texts = texts.str.replace_all(EMAIL, "[EMAIL]")
    formats = formats_of(tuple(languages), tuple(regions))
    with_number, with_name = _candidates(texts, list(formats.lettered))
    if with_number:
        changed = [_redact_text(texts[row], formats, counts, whole=row in with_name) for row in with_number]
        texts = texts.scatter(with_number, changed)
    return texts, dict(counts)


def _candidates(texts: pl.Series, lettered: list[str]) -> tuple[list[int], set[int]]:
    """Return the rows that may hold a number, and those among them with a word for an account before one."""
    import polars as pl

    column = pl.lit(texts)
    flags = pl.select(
        digits=column.str.contains(r"[0-9][0-9-]{3}"),  # fewer than the longer pattern below, and faster
        number=column.str.contains(NUMBER),
        lettered=column.str.contains_any(lettered or ["\0"], ascii_case_insensitive=True)
        & column.str.contains("[0-9]"),
        beyond=column.str.len_bytes() != column.str.len_chars(),
    ).with_row_index("row")
    whole = [*_those(texts, flags.filter("digits")["row"], NAMED_ACCOUNT)]
    whole += _those(texts, flags.filter("beyond")["row"], NUMBER_BEYOND_ASCII)
    if lettered:
        whole += _those(texts, flags.filter("digits")["row"], TAX_NUMBER)
        whole += flags.filter("lettered")["row"].to_list()
    return sorted({*whole, *flags.filter("number")["row"].to_list()}), set(whole)


def _those(texts: pl.Series, rows: pl.Series, pattern: str) -> list[int]:
    found: list[int] = rows.filter(texts.gather(rows).str.contains(pattern)).to_list()
    return found


def _redact_text(text: str, formats: Formats, counts: Counter[str], *, whole: bool) -> str:
    """Redact a whole text, or around the places where it may hold a number."""
    around = merged((match.start() - AROUND, match.end() + AROUND) for match in PLACE.finditer(text))
    windows = [(0, len(text))] if whole else around
    parts, place = [], 0
    for first, end in windows:
        parts += [text[place:first], _redact_numbers(text[first:end], formats, counts)]
        place = end
    return "".join([*parts, text[place:]])


def _redact_numbers(text: str, formats: Formats, counts: Counter[str]) -> str:
    plain = plain_of(text)
    for find in STEPS:
        spans = _disjoint(find(plain, formats))
        if spans:
            counts.update(kind for _, _, kind in spans)
            text, plain = _without(text, spans), _without(plain, spans)
    return text


def _disjoint(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, the first and longest of those that overlap."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _without(text: str, spans: list[Span]) -> str:
    begins = [0, *(end for _, end, _ in spans)]
    ends = [*(first for first, _, _ in spans), len(text)]
    tokens = [*(f"[{kind.upper()}]" for _, _, kind in spans), ""]
    return "".join(text[first:end] + token for first, end, token in zip(begins, ends, tokens, strict=True))


def _email_spans(plain: str, formats: Formats) -> Iterator[Span]:
    """Yield addresses in full-width letters; the others are gone."""
    if "@" in plain:
        yield from ((*match.span(), "email") for match in FULL_WIDTH_EMAIL.finditer(plain))


def _named_spans(plain: str, formats: Formats) -> Iterator[Span]:
    return ((*match.span(2), "account") for match in NAMED.finditer(plain))


STEPS = (
    _email_spans,
    identifiers.iban_spans,
    identifiers.card_spans,
    phones.international_spans,
    identifiers.personal_spans,
    identifiers.ssn_spans,
    _named_spans,
    phones.american_spans,
    phones.phone_spans,
    identifiers.account_spans,
)
