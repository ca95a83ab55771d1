"""Behavioral tests: changes of the input that must or must not change a model's answer, and cases it must get right.

Three of the kinds are from Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList" (2020);
adversarial cases are inputs made to break a model: they name a label, or only require a valid answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["invariance", "directional", "minimum_functionality", "adversarial"]
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One case for the model: a record, what it is compared with, and the label that is expected."""

    record: Record
    changed: Record | None  # invariance: must get the same label; directional: must gain on `label`
    label: str | None  # expected label; adversarial: None accepts any valid answer


@dataclass(frozen=True, eq=False)
class Behavior:
    """A named behavioral test."""

    name: str
    kind: Kind
    at_least: float  # least share of the cases that pass
    doc: str
    make_cases: Callable[[], tuple[Case, ...]]

    def cases(self) -> tuple[Case, ...]:
        """Return the cases, the same at every call."""
        return self.make_cases()


def invariance(
    name: str, *, texts: Sequence[str | Record], change: Callable[[str], str], at_least: float, doc: str
) -> Behavior:
    """Declare that the label must stay when `change` is applied to the text."""

    def cases() -> tuple[Case, ...]:
        records = [_record(text) for text in texts]
        return tuple(Case(record, {**record, "text": change(record["text"])}, None) for record in records)

    return _declared(name, "invariance", at_least=at_least, doc=doc, cases=cases)


def invariant_pairs(
    name: str, *, pairs: Sequence[tuple[str | Record, str | Record]], at_least: float, doc: str
) -> Behavior:
    """Declare that both records of each pair must get the same label."""

    def cases() -> tuple[Case, ...]:
        return tuple(Case(_record(one), _record(other), None) for one, other in pairs)

    return _declared(name, "invariance", at_least=at_least, doc=doc, cases=cases)


def directional(
    name: str, *, triples: Sequence[tuple[str | Record, str | Record, str]], at_least: float, doc: str
) -> Behavior:
    """Declare that the second record of each triple must get the label with more probability than the first."""

    def cases() -> tuple[Case, ...]:
        return tuple(Case(_record(before), _record(after), label) for before, after, label in triples)

    return _declared(name, "directional", at_least=at_least, doc=doc, cases=cases)


def minimum_functionality(
    name: str, *, examples: Sequence[tuple[str | Record, str]], at_least: float, doc: str
) -> Behavior:
    """Declare that plain examples must get their label."""

    def cases() -> tuple[Case, ...]:
        return tuple(Case(_record(record), None, label) for record, label in examples)

    return _declared(name, "minimum_functionality", at_least=at_least, doc=doc, cases=cases)


def adversarial(
    name: str, *, examples: Sequence[tuple[str | Record, str | None]], at_least: float, doc: str
) -> Behavior:
    """Declare that hostile input must get its label or, if none is named, a finite probability for every label."""

    def cases() -> tuple[Case, ...]:
        return tuple(Case(_record(record), None, label) for record, label in examples)

    return _declared(name, "adversarial", at_least=at_least, doc=doc, cases=cases)


def _record(given: str | Record) -> Record:
    return {"text": given} if isinstance(given, str) else dict(given)


def _declared(name: str, kind: Kind, *, at_least: float, doc: str, cases: Callable[[], tuple[Case, ...]]) -> Behavior:
    if not 0 < at_least <= 1:
        raise ValueError(f"behavior {name!r}: invalid at_least = {at_least}: expected a share above 0 and up to 1")
    return Behavior(name=name, kind=kind, at_least=at_least, doc=doc, make_cases=cases)
