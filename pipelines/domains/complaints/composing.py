"""One complaint composed from the grammar: sentences about its product, about another one, and about anything."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import TypeVar

from .grammar import (
    ALSO_ABOUT,
    CLOSINGS,
    GENERIC,
    KEY_TERMS,
    LETTER,
    LETTER_PRODUCTS,
    NEW_GENERIC,
    NEW_SENTENCES,
    OPENINGS,
    PHRASES,
    SENTENCES,
    Group,
)

TOPIC_SHARE, OTHER_SHARE = 0.32, 0.15  # sentences about the product, and about the other one where there is one
HAS_OTHER, EVENLY_SPLIT = 0.55, 0.28  # texts that speak of another product; of these, in equal parts
REDACTED_TERM = 0.12  # key terms that were X-ed out with a name
MEDIAN_WORDS, SPREAD, SHORTEST, LONGEST = 125, 0.8, 9, 900  # log-normal, fitted to 2,062 published narratives

T = TypeVar("T")
Template = tuple["str | Slot | Choice", ...]


@dataclass(frozen=True)
class Slot:
    """A phrase, a key term or a made-up value, by name."""

    name: str


@dataclass(frozen=True)
class Choice:
    """Alternatives of which one is taken."""

    options: tuple[Template, ...]


@dataclass(frozen=True)
class Speaker:
    """Who writes, about what, and how the world stands on that day."""

    product: str
    group: Group
    year: int
    group_wording: float
    moved: float
    typos: float


@cache
def parse(text: str) -> Template:
    """A sentence of the grammar as a tree."""
    nodes, rest = _parse(text, 0, closing="")
    if rest != len(text):
        raise ValueError(f"grammar: unbalanced bracket in {text!r}")
    return nodes


def compose(speaker: Speaker, rng: Random) -> str:
    """One complaint."""
    words = math.exp(rng.gauss(math.log(MEDIAN_WORDS * (1 + 0.6 * speaker.moved)), SPREAD))
    target = min(max(words, SHORTEST), LONGEST)
    other = _weighted(ALSO_ABOUT[speaker.product], rng) if rng.random() < HAS_OTHER else None
    evenly = other is not None and rng.random() < EVENLY_SPLIT
    letter = rng.random() < LETTER_PRODUCTS.get(speaker.product, 0.0)
    pools = _Pools(speaker, rng)
    sentences = [pools.draw(speaker.product)]
    length = _count(sentences[0])
    while length < target:
        sentence = pools.draw(_subject(speaker, other, evenly=evenly, letter=letter, rng=rng))
        sentences.append(sentence)
        length += _count(sentence)
    rng.shuffle(sentences)
    if length > 25 and rng.random() < 0.6:
        sentences.insert(0, pools.draw("opening"))
    if length > 25 and rng.random() < 0.6:
        sentences.append(pools.draw("closing"))
    return _with_typos(" ".join(sentences), rng, share=speaker.typos)


class _Pools:
    """Sentences that were not yet used in this text, by subject; a pool begins anew when it is empty."""

    def __init__(self, speaker: Speaker, rng: Random) -> None:
        self.speaker, self.rng = speaker, rng
        self.left: dict[str, list[str]] = {}

    def draw(self, subject: str) -> str:
        pool = self.left.get(subject)
        if not pool:
            pool = self.left[subject] = list(_pool(subject, self.speaker.moved))
            self.rng.shuffle(pool)
        text = render(parse(pool.pop()), self.speaker, self.rng).strip()
        return text[0].upper() + text[1:]


def render(template: Template, speaker: Speaker, rng: Random) -> str:
    """A tree with every choice made and every slot filled."""
    parts: list[str] = []
    for node in template:
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Choice):
            parts.append(render(_pick(node.options, rng), speaker, rng))
        else:
            parts.append(_fill(node.name, speaker, rng))
    return "".join(parts)


def _fill(name: str, speaker: Speaker, rng: Random) -> str:
    if name in KEY_TERMS:
        if rng.random() < REDACTED_TERM:
            return "XXXX XXXX"
        other_wording = speaker.group != "rest" and rng.random() < speaker.group_wording
        return _pick(KEY_TERMS[name][speaker.group if other_wording else "rest"], rng)
    if name in PHRASES:
        return render(parse(_pick(PHRASES[name], rng)), speaker, rng)
    if name == "money":
        return f"{{${_rounded(math.exp(rng.gauss(6.0, 1.4))):.2f}}}"
    if name == "date":
        return _pick((f"XX/XX/{speaker.year}", "XX/XX/XXXX", "XXXX XXXX", f"XXXX/XXXX/{speaker.year}"), rng)
    if name == "count":
        return str(2 + int(rng.random() * 58))
    if name == "digits":
        return str(10_000 + int(rng.random() * 90_000))
    raise ValueError(f"grammar: no slot {name!r}")


def _rounded(amount: float) -> float:
    """Two leading digits, as the published sums are rounded."""
    scale = 10 ** max(math.floor(math.log10(max(amount, 1.0))) - 1, 0)
    return round(amount / scale) * scale


def _subject(speaker: Speaker, other: str | None, *, evenly: bool, letter: bool, rng: Random) -> str:
    dice = rng.random()
    topic = TOPIC_SHARE
    if other is not None:
        share = TOPIC_SHARE if evenly else OTHER_SHARE
        if dice < share:
            return other
        dice -= share
    if dice < topic:
        return speaker.product
    if letter and rng.random() < 0.6:
        return "letter"
    return "new" if rng.random() < 0.6 * speaker.moved else "generic"


@cache
def _pool(subject: str, moved: float) -> tuple[str, ...]:
    fixed = {"opening": OPENINGS, "closing": CLOSINGS, "letter": LETTER, "generic": GENERIC, "new": NEW_GENERIC}
    if subject in fixed:
        return fixed[subject]
    return SENTENCES[subject] + (NEW_SENTENCES.get(subject, ()) * 3 if moved > 0 else ())


def _with_typos(text: str, rng: Random, *, share: float) -> str:
    """Swap, drop or double a letter in a share of the words; some people make ten times as many as others."""
    rate = share * (4.0 if rng.random() < 0.2 else 0.25)
    if rate == 0:
        return text
    words = text.split(" ")
    for place, word in enumerate(words):
        if rng.random() < rate and len(word) > 3 and word.isalpha():
            words[place] = misspell(word, rng)
    return " ".join(words)


def misspell(word: str, rng: Random) -> str:
    """A word with one typing error."""
    at = 1 + int(rng.random() * (len(word) - 2))
    kind = int(rng.random() * 3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at + 1 :] if kind == 1 else word[:at] + word[at] + word[at:]


def _parse(text: str, at: int, *, closing: str) -> tuple[Template, int]:
    nodes: list[str | Slot | Choice] = []
    while at < len(text) and text[at] not in closing:
        if text[at] == "[":
            options: list[Template] = []
            while text[at] != "]":
                option, at = _parse(text, at + 1, closing="|]")
                options.append(option)
                if at >= len(text):
                    raise ValueError(f"grammar: unbalanced bracket in {text!r}")
            nodes.append(Choice(tuple(options)))
            at += 1
        elif found := re.compile(r"\{(\w+)\}").match(text, at):
            nodes.append(Slot(found[1]))
            at = found.end()
        else:
            end = re.compile(r"[\[\]|{]|$").search(text, at + 1)
            stop = end.start() if end else len(text)
            nodes.append(text[at:stop])
            at = stop
    return tuple(nodes), at


def _pick(options: Sequence[T], rng: Random) -> T:
    return options[int(rng.random() * len(options))]


def _weighted(weights: dict[str, float], rng: Random) -> str:
    dice = rng.random() * sum(weights.values())
    for name, edge in zip(weights, accumulate(weights.values()), strict=True):
        if dice < edge:
            return name
    return next(reversed(weights))


def _count(text: str) -> int:
    return text.count(" ") + 1
