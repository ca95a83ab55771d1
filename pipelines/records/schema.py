"""What the project may know about a problem: its labels, features and protected attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from pipelines.records.languages import check_codes
from pipelines.runtime.errors import InputError, ParamsError

RESERVED = {  # columns that the project adds to the domain's
    *("id", "text", "received_at", "entity", "gold", "gold_at", "part", "weight", "weak_label", "n_votes"),
    *("training_label", "label_source", "label_confidence"),
}


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

    @property
    def kinds(self) -> dict[str, str]:
        """Return the features, name -> kind."""
        return {feature.name: feature.kind for feature in self.features}

    def __post_init__(self) -> None:
        """Raise InputError, which names the field and the form that is expected, for a schema that cannot work."""
        if not _are_names((self.name,)):
            self._refuse("name", self.name, "a name such as 'complaints'")
        self._check_labels()
        self._check_columns()
        if self.languages or self.regions:
            check_codes(self.name, languages=self.languages, regions=self.regions)
        if not self.protected and not self.no_protected_because:
            raise InputError(
                f"domain {self.name!r} has no protected attributes and no reason: set no_protected_because"
            )
        if (
            not isinstance(self.gold_delay_days, int)
            or isinstance(self.gold_delay_days, bool)
            or self.gold_delay_days < 0
        ):
            self._refuse("gold_delay_days", self.gold_delay_days, "a number of days, 0 or more")
        if not isinstance(self.requires_text, bool):
            self._refuse("requires_text", self.requires_text, "True or False")

    def _check_labels(self) -> None:
        labels = self.labels
        given = [labels] if isinstance(labels, str) or not isinstance(labels, Iterable) else list(labels)
        example = tuple(" ".join(str(label).split()) for label in given)
        example = example if len(set(example)) > 1 else (*dict.fromkeys(example), "other")
        form = f"a tuple of two or more different names, such as {example!r}"
        if not _are_names(labels) or len(labels) < 2 or len(set(labels)) != len(labels):
            self._refuse("labels", labels, form)
        self._check_choice("favorable_labels", self.favorable_labels, labels)
        if len(set(self.favorable_labels)) == len(labels):
            self._refuse(
                "favorable_labels", self.favorable_labels, "some of the labels, not all: nothing could be unfair"
            )

    def require_protected(self, names: Iterable[str], *, parameter: str) -> None:
        """Raise ParamsError for the first name, a key of a parameter, that is not a protected attribute."""
        known = [attribute.name for attribute in self.protected]
        for name in names:
            if name not in known:
                raise ParamsError(
                    f"unknown protected attribute {parameter}.{name}: expected {' or '.join(known) or 'none'}"
                )

    def _check_columns(self) -> None:
        for field, kind in (("features", Feature), ("protected", ProtectedAttribute)):
            value = getattr(self, field)
            if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
                self._refuse(field, value, f"a tuple of {kind.__name__}(...), as in ({kind.__name__}(...),)")
        names = [*(item.name for item in self.features), *(group.name for group in self.protected)]
        for item in self.features:
            if item.kind not in ("category", "number"):
                self._refuse(f"kind of feature {item.name!r}", item.kind, "'category' or 'number'")
        for group in self.protected:
            if not _are_names((group.member, group.rest)) or group.member == group.rest:
                self._refuse(
                    f"member and rest of {group.name!r}", (group.member, group.rest), "two different names of groups"
                )
        taken = RESERVED | {f"soft_{label}" for label in self.labels}
        for name in names:
            if not _are_names((name,)) or name.startswith("_"):
                self._refuse("name of a column", name, "text without surrounding spaces that does not begin with '_'")
            if name in taken or names.count(name) > 1:
                raise InputError(
                    f"domain {self.name!r}: column {name!r} is reserved or occurs more than once; give the feature or "
                    "protected attribute another name"
                )
        self._check_choice("strata", self.strata, names)
        if not _are_names(self.required_columns):
            self._refuse("required_columns", self.required_columns, "a tuple of column names, such as ('id', 'text')")

    def _check_choice(self, field: str, chosen: Any, names: Sequence[str]) -> None:
        if not _are_names(chosen) or len(set(chosen)) != len(chosen) or not set(chosen) <= set(names):
            self._refuse(field, chosen, f"a tuple of different names out of {', '.join(names) or 'none'}")

    def _refuse(self, field: str, value: Any, expected: str) -> NoReturn:
        raise InputError(f"domain {self.name!r}: invalid {field} = {value!r}: expected {expected}")


def _are_names(values: Any) -> bool:
    """Return whether this is a tuple of texts that are not empty and have no white space around them."""
    return isinstance(values, tuple) and all(
        isinstance(value, str) and value and value == value.strip() and value.isprintable() for value in values
    )
