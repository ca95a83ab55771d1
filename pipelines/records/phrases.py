"""A composing grammar for simulators: sentences with choices and slots, filled by a generator that the caller seeds.

`[a|b]` is a choice, `{name}` a slot. Choices may hold slots and choices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import TypeVar

T = TypeVar("T")
Template = tuple["str | Slot | Choice", ...]
SLOT = re.compile(r"\{(\w+)\}")
MARK = re.compile(r"[\[\]|{]|$")


@dataclass(frozen=True)
class Slot:
    """A place that is filled by name."""

    name: str


@dataclass(frozen=True)
class Choice:
    """Alternatives of which one is taken."""

    options: tuple[Template, ...]


@cache
def parse(text: str) -> Template:
    """A sentence of a grammar as a tree."""
    nodes, rest = _parse(text, 0, closing="")
    if rest != len(text):
        raise ValueError(f"grammar: unbalanced bracket in {text!r}")
    return nodes


def render(template: Template, *, fill: Callable[[str], str], rng: Random) -> str:
    """A tree as text: every choice made, every slot filled by its name."""
    parts: list[str] = []
    for node in template:
        if isinstance(node, str):
            parts.append(node)
        elif isinstance(node, Choice):
            parts.append(render(pick(node.options, rng=rng), fill=fill, rng=rng))
        else:
            parts.append(fill(node.name))
    return "".join(parts)


def pick(options: Sequence[T], *, rng: Random) -> T:
    """One of the options, each as likely as the next."""
    return options[int(rng.random() * len(options))]


def weighted(weights: Mapping[str, float], *, rng: Random) -> str:
    """Draw one of the names with the given weights."""
    dice = rng.random() * sum(weights.values())
    for name, edge in zip(weights, accumulate(weights.values()), strict=True):
        if dice < edge:
            return name
    return next(reversed(list(weights)))


def with_typos(text: str, *, share: float, rng: Random) -> str:
    """Swap, drop or double a letter in a share of the words; some people make ten times as many as others."""
    rate = share * (4.0 if rng.random() < 0.2 else 0.25)
    if rate == 0:
        return text
    words = text.split(" ")
    for place, word in enumerate(words):
        if rng.random() < rate and len(word) > 3 and word.isalpha():
            words[place] = misspell(word, rng=rng)
    return " ".join(words)


def misspell(word: str, *, rng: Random) -> str:
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
        elif found := SLOT.match(text, at):
            nodes.append(Slot(found[1]))
            at = found.end()
        else:
            end = MARK.search(text, at + 1)
            stop = end.start() if end else len(text)
            nodes.append(text[at:stop])
            at = stop
    return tuple(nodes), at
