"""What numbers look like in the languages and regions of a domain: national ids, and the words that name a number."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache

from pipelines.records.languages import languages as supported

TOKEN = re.compile(r"\[?(?:EMAIL|CARD|SSN|ID|PHONE|ACCOUNT)\]")  # what was redacted is not a word that names a number
CONTEXT = 40  # characters before a number in which its name is looked for
NAMED = "named"  # in place of a module: only after a word that names such a number

# Region, module of stdnum, pattern. A bare run of digits that fits by chance is recognized by its check digits.
PERSONAL = (
    ("AR", "ar.cuit", r"[0-9]{2}-[0-9]{8}-[0-9]"),
    ("AU", "au.tfn", r"[0-9]{3} [0-9]{3} [0-9]{3}"),
    ("BE", "be.nn", r"[0-9]{2}[. ]?[0-9]{2}[. ]?[0-9]{2}[- ]?[0-9]{3}[. ]?[0-9]{2}"),
    ("BR", "br.cpf", r"[0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}"),
    ("CA", "ca.sin", r"[0-9]{3}([ -])[0-9]{3}\1[0-9]{3}"),
    ("CH", "ch.ssn", r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}"),
    ("CL", "cl.rut", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]|[0-9]{7,8}-[0-9Kk]"),
    ("CN", "cn.ric", r"[0-9]{17}[0-9Xx]"),
    ("CZ", "cz.rc", r"[0-9]{6}/[0-9]{3,4}"),
    ("DE", "de.idnr", r"[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}"),
    ("DK", "dk.cpr", r"[0-9]{6}-[0-9]{4}"),
    ("ES", "es.dni", r"[0-9]{8}[- ]?[A-Za-z]|[0-9]{2}\.[0-9]{3}\.[0-9]{3}-?[A-Za-z]"),
    ("ES", "es.nie", r"[XYZxyz][- ]?[0-9]{7}[- ]?[A-Za-z]"),
    ("FI", "fi.hetu", r"[0-9]{6}[-+A][0-9]{3}[0-9A-Ya-y]"),
    ("FR", "fr.nir", r"[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}"),
    ("GR", "gr.amka", r"[0-9]{11}"),
    ("ID", "id.nik", r"[0-9]{16}"),
    ("IN", "in_.aadhaar", r"[2-9][0-9]{3} ?[0-9]{4} ?[0-9]{4}"),
    ("IN", "in_.pan", r"[A-Za-z]{3}[ABCFGHJLPTabcfghjlpt][A-Za-z][0-9]{4}[A-Za-z]"),
    ("IT", "it.codicefiscale", r"[A-Za-z]{6} ?[0-9]{2} ?[A-Za-z][0-9]{2} ?[A-Za-z][0-9]{3} ?[A-Za-z]"),
    ("JP", "jp.in_", r"[0-9]{4}([ -]?)[0-9]{4}\1[0-9]{4}"),
    ("KR", "kr.rrn", r"[0-9]{6}-?[1-8][0-9]{6}"),
    ("MX", "mx.curp", r"[A-Za-z]{4}[0-9]{6}[HMhm][A-Za-z]{5}[0-9A-Za-z][0-9]"),
    ("MX", "mx.rfc", r"[A-Za-zÑñ&]{4}[0-9]{6}[0-9A-Za-z]{3}"),
    ("MY", "my.nric", r"[0-9]{6}-[0-9]{2}-[0-9]{4}"),
    ("NO", "no.fodselsnummer", r"[0-9]{6} ?[0-9]{5}"),
    ("PL", "pl.pesel", r"[0-9]{11}"),
    ("PT", "pt.cc", r"[0-9]{8} ?[0-9] ?[A-Za-z0-9]{2}[0-9]"),
    ("RO", "ro.cnp", r"[1-9][0-9]{12}"),
    ("SE", "se.personnummer", r"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}"),
    ("TH", "th.pin", r"[1-8]([- ]?)[0-9]{4}\1[0-9]{5}\1[0-9]{2}\1[0-9]"),
    ("TR", "tr.tckimlik", r"[1-9][0-9]{10}"),
    ("ZA", "za.idnr", r"[0-9]{6} ?[0-9]{4} ?[0-9]{3}"),
    # Without a module of stdnum: UK National Insurance, Russian SNILS, and identity cards of Singapore and Hong Kong.
    ("GB", "", r"(?!BG|GB|KN|NK|NT|TN|ZZ)(?:QQ|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]) ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"),
    ("RU", "", r"[0-9]{3}-[0-9]{3}-[0-9]{3}[ -][0-9]{2}"),
    ("SG", "", r"[STFGM][0-9]{7}[A-Z]"),
    ("HK", "", r"[A-Z]{1,2}[0-9]{6}\([0-9A]\)"),
    ("TW", "", r"[A-Z][12][0-9]{8}"),
    ("", NAMED, r"[A-Z]{1,2}[0-9]{6,8}|(?=[A-Z]*[0-9])[CFGHJKLMNPRTVWXYZ0-9]{9,10}|[0-9]{7,17}[0-9Xx]?"),  # passports and others
)  # fmt: skip


@dataclass(frozen=True)
class Formats:
    """What numbers look like in the languages and regions of a domain."""

    regions: tuple[str, ...]
    declared: bool  # False: texts of any language
    context: re.Pattern[str]
    personal: tuple[tuple[re.Pattern[str], str], ...]  # each with its module of stdnum
    lettered: tuple[str, ...]  # words before ids with too few digits in a row to be noticed

    def name_of(self, plain: str, place: int) -> str:
        """Return what the nearest word before a place names (account, phone, person, other), "" if none does."""
        before = TOKEN.sub("", plain[max(0, place - CONTEXT) : place]).rsplit("\n", 1)[-1].lower()
        return _last_name(self.context, before)


@lru_cache(maxsize=256)  # each step asks again about the same few places
def _last_name(context: re.Pattern[str], before: str) -> str:
    last = ""
    for match in context.finditer(before):
        last = str(match.lastgroup)[:-1]
    return last


@cache
def formats_of(languages: tuple[str, ...], regions: tuple[str, ...]) -> Formats:
    """Return the formats of languages, all if there are none, and of regions, those of the languages if none."""
    spoken = [supported()[code] for code in languages or supported()]
    at = tuple(dict.fromkeys(regions or [region for item in spoken for region in item.regions]))
    kinds = ("account", "phone", "person", "other")
    words = {kind: [word for item in spoken for word in getattr(item, kind)] for kind in kinds}
    personal = [
        (re.compile(rf"(?<![A-Za-z0-9+])(?:{pattern})(?![A-Za-z0-9])"), module)
        for region, module, pattern in PERSONAL
        if region in at or module == NAMED
    ]
    lettered = {word for word in words["person"] if len(word) > 4} if at != ("US",) else set()
    return Formats(
        at,
        bool(languages or regions),
        _context(words),
        tuple(personal),
        tuple(sorted(lettered | {word.capitalize() for word in lettered})),
    )


def _context(words: dict[str, list[str]]) -> re.Pattern[str]:
    """Match beginnings of words, whole words if they are short, and in scripts without spaces any place."""

    def group(kind: str, *, spaced: bool) -> str:
        chosen = sorted({word for word in words[kind] if (word[0] < "\u0e00") is spaced})
        ends = [re.escape(word) + (r"(?![^\W\d_])" if spaced and len(word) <= 3 else "") for word in chosen]
        return f"(?P<{kind}{int(spaced)}>{'|'.join(ends) or '(?!)'})"

    beginning, anywhere = ("|".join(group(kind, spaced=spaced) for kind in words) for spaced in (True, False))
    return re.compile(rf"(?<![^\W\d_])(?:{beginning})|{anywhere}")


def plain_of(text: str) -> str:
    """Return a text with every digit, dash, space and full-width sign as ASCII, each character in its place."""
    return text if text.isascii() else text.translate(_ascii())


@cache
def _ascii() -> dict[int, str]:
    table = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # full-width forms
    for code in range(0x80, sys.maxunicode + 1):
        category = unicodedata.category(chr(code))
        if category == "Nd":
            table[code] = str(unicodedata.digit(chr(code)))
        elif category == "Pd":
            table[code] = "-"
        elif category in ("Zs", "Cf"):  # a direction mark next to a number is as good as a space
            table[code] = " "
    table[0x2212] = "-"
    return table
