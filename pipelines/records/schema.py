"""What the project may know about a problem: its labels, features and protected attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipelines.records.languages import check_codes
from pipelines.runtime.errors import InputError


@dataclass(frozen=True)
class Feature:
    """A column known before the label: a category (string) or a number (float64)."""

    name: str
    kind: Literal["category", "number"]


@dataclass(frozen=True)
class ProtectedAttribute:
    """A yes/no attribute of a person: 1 is the protected group `member`, 0 is the `rest`."""

    name: str
    member: str
    rest: str


@dataclass(frozen=True)
class DomainSchema:
    """What the rest of the project may know about a problem."""

    name: str
    labels: tuple[str, ...]
    features: tuple[Feature, ...]
    protected: tuple[ProtectedAttribute, ...]
    no_protected_because: str | None
    favorable_labels: tuple[str, ...]
    strata: tuple[str, ...]
    gold_delay_days: int
    required_columns: tuple[str, ...]
    requires_text: bool
    languages: tuple[str, ...] = ()  # of the texts, ISO 639; () is any: which formats of numbers are redacted
    regions: tuple[str, ...] = ()  # ISO 3166; () is those of the languages

    def __post_init__(self) -> None:
        """Raise InputError for a schema that contradicts itself."""
        if self.languages or self.regions:
            check_codes(self.name, languages=self.languages, regions=self.regions)
        names = [*(item.name for item in self.features), *(item.name for item in self.protected)]
        taken = {
            *("id", "text", "received_at", "entity", "gold", "gold_at", "part", "weight", "weak_label", "n_votes"),
            *("training_label", "label_source", "label_confidence"),
        }
        for name in names:
            if name in taken or names.count(name) > 1:
                raise InputError(f"domain {self.name!r}: column {name!r} is reserved or occurs more than once")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise InputError(
                f"domain {self.name!r}: invalid labels = {self.labels}: expected two or more different names"
            )
        if not self.protected and not self.no_protected_because:
            raise InputError(
                f"domain {self.name!r} has no protected attributes and no reason: set no_protected_because"
            )
        for label in self.favorable_labels:
            if label not in self.labels:
                raise InputError(
                    f"domain {self.name!r}: favorable label {label!r} is not one of {', '.join(self.labels)}"
                )
        for name in self.strata:
            if name not in names:
                raise InputError(
                    f"domain {self.name!r}: stratum {name!r} is not a feature: expected one of {', '.join(names)}"
                )
