"""Texts of simulated complaints: the grammar of `simulator.yaml`, the writer of a text, and copies of texts."""

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Literal

from pipelines.records.phrases import misspell, parse, pick, render, weighted, with_typos
from pipelines.runtime.params import read_yaml

Group = Literal["rest", "older_american", "servicemember"]

TOPIC_SHARE, OTHER_SHARE = 0.32, 0.15  # sentences about the product, and about the other one where there is one
HAS_OTHER, EVENLY_SPLIT = 0.55, 0.28  # texts that speak of another product; of these, in equal parts
REDACTED_TERM = 0.12  # key terms that were X-ed out with a name
MEDIAN_WORDS, SPREAD, SHORTEST, LONGEST = 125, 0.8, 9, 900  # log-normal, fitted to 2,062 published narratives

GRAMMAR = read_yaml(Path(__file__).with_name("simulator.yaml"))
KEY_TERMS: dict[str, dict[Group, list[str]]] = GRAMMAR["key_terms"]
PHRASES: dict[str, list[str]] = GRAMMAR["phrases"]
SENTENCES: dict[str, list[str]] = GRAMMAR["sentences"]  # by product
NEW_SENTENCES: dict[str, list[str]] = GRAMMAR["new_sentences"]
OPENINGS, CLOSINGS, LETTER = (GRAMMAR[name] for name in ("openings", "closings", "letter"))
GENERIC, NEW_GENERIC = GRAMMAR["generic"], GRAMMAR["new_generic"]
ALSO_ABOUT: dict[str, dict[str, float]] = GRAMMAR["also_about"]
LETTER_PRODUCTS = {"credit_reporting": 0.25, "debt_collection": 0.2}  # share of a product's texts written as a letter


@dataclass(frozen=True)
class Speaker:
    """The writer of a text, its subject, and the state of drift on that day."""

    product: str
    group: Group
    year: int
    group_wording: float
    moved: float
    typos: float


def compose(speaker: Speaker, rng: Random) -> str:
    """Return the text of one complaint."""
    words = math.exp(rng.gauss(math.log(MEDIAN_WORDS * (1 + 0.6 * speaker.moved)), SPREAD))
    target = min(max(words, SHORTEST), LONGEST)
    other = weighted(ALSO_ABOUT[speaker.product], rng=rng) if rng.random() < HAS_OTHER else None
    evenly = other is not None and rng.random() < EVENLY_SPLIT
    letter = rng.random() < LETTER_PRODUCTS.get(speaker.product, 0.0)
    pools = _Pools(speaker, rng)
    sentences = [pools.draw(speaker.product)]
    length = _n_words(sentences[0])
    while length < target:
        sentence = pools.draw(_subject(speaker, other, evenly=evenly, letter=letter, rng=rng))
        sentences.append(sentence)
        length += _n_words(sentence)
    rng.shuffle(sentences)
    if length > 25 and rng.random() < 0.6:
        sentences.insert(0, pools.draw("opening"))
    if length > 25 and rng.random() < 0.6:
        sentences.append(pools.draw("closing"))
    return with_typos(" ".join(sentences), share=speaker.typos, rng=rng)


class _Pools:
    """Sentences not yet used in this text, by subject; an empty pool is filled again."""

    def __init__(self, speaker: Speaker, rng: Random) -> None:
        self.speaker, self.rng = speaker, rng
        self.left: dict[str, list[str]] = {}

    def draw(self, subject: str) -> str:
        pool = self.left.get(subject)
        if not pool:
            pool = self.left[subject] = list(_pool(subject, self.speaker.moved))
            self.rng.shuffle(pool)
        text = _rendered(pool.pop(), self.speaker, self.rng).strip()
        return text[0].upper() + text[1:]


def _rendered(sentence: str, speaker: Speaker, rng: Random) -> str:
    return render(parse(sentence), fill=lambda name: _fill(name, speaker, rng), rng=rng)


def _fill(name: str, speaker: Speaker, rng: Random) -> str:
    if name in KEY_TERMS:
        if rng.random() < REDACTED_TERM:
            return "XXXX XXXX"
        other_wording = speaker.group != "rest" and rng.random() < speaker.group_wording
        return pick(KEY_TERMS[name][speaker.group if other_wording else "rest"], rng=rng)
    if name in PHRASES:
        return _rendered(pick(PHRASES[name], rng=rng), speaker, rng)
    if name == "money":
        return f"{{${_rounded(math.exp(rng.gauss(6.0, 1.4))):.2f}}}"
    if name == "date":
        return pick((f"XX/XX/{speaker.year}", "XX/XX/XXXX", "XXXX XXXX", f"XXXX/XXXX/{speaker.year}"), rng=rng)
    if name == "count":
        return str(2 + int(rng.random() * 58))
    if name == "digits":
        return str(10_000 + int(rng.random() * 90_000))
    raise ValueError(f"grammar: no slot {name!r}")


def _rounded(amount: float) -> float:
    """Round to two leading digits, like the published sums."""
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
def _pool(subject: str, moved: float) -> list[str]:
    fixed = {"opening": OPENINGS, "closing": CLOSINGS, "letter": LETTER, "generic": GENERIC, "new": NEW_GENERIC}
    if subject in fixed:
        return fixed[subject]
    return SENTENCES[subject] + (NEW_SENTENCES.get(subject, []) * 3 if moved > 0 else [])


def _n_words(text: str) -> int:
    return text.count(" ") + 1


def copy_of(text: str, kind: str, rng: Random) -> str:
    """Return a text sent again: unchanged, with a few words changed (Jaccard of 5-grams >= 0.8), or with many."""
    words = text.split(" ")
    shingles = max(len(words) - 4, 1)
    if kind == "exact" or len(words) < 14:
        return text
    if kind == "near":  # one word changed in the middle costs 5 of n shingles twice: (n - 5k) / (n + 5k) >= 0.8
        edits = rng.randint(1, max(int(shingles / 52), 1)) if shingles >= 52 else 0
        spots = rng.sample(range(5, len(words) - 5), edits) if edits else [len(words) - 1]
    else:
        spots = rng.sample(range(len(words)), max(len(words) // 18, 2))
    for spot in spots:
        words[spot] = rng.choice(
            (
                f"XX/XX/{1990 + rng.randint(0, 60)}",
                "XXXX",
                f"{{${rng.randint(10, 9999)}.00}}",
                misspell(words[spot] + "ing", rng=rng),
            )
        )
    return " ".join(words)


def jaccard(one: str, other: str, *, size: int = 5) -> float:
    """Return the Jaccard similarity of the word n-grams of two texts: lower case, a run of masked words counts as one."""
    first, second = _shingles(one, size), _shingles(other, size)
    return len(first & second) / max(len(first | second), 1)


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = re.sub(r"[\W_]+", " ", text.lower()).split()
    words = [word for word, before in zip(words, ["", *words], strict=False) if not (_masked(word) and _masked(before))]
    return {tuple(words[at : at + size]) for at in range(max(len(words) - size + 1, 1))}


def _masked(word: str) -> bool:
    return len(word) > 1 and not word.strip("x")
