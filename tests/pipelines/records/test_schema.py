"""A schema that cannot work is refused when it is made, with the field and the form that is expected."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.runtime.errors import InputError, ParamsError

GOOD: dict[str, Any] = {
    "name": "loans",
    "labels": ("grant", "refuse"),
    "features": (Feature("region", kind="category"), Feature("size", kind="number")),
    "protected": (ProtectedAttribute("veteran", member="veterans", rest="others"),),
    "no_protected_because": None,
    "favorable_labels": ("grant",),
    "strata": ("region",),
    "gold_delay_days": 14,
    "required_columns": ("id", "text"),
    "requires_text": True,
}

LABELS = [
    (0, 1), "spam", ("spam",), (), ("a", "a"), ("a", ""), ("a", " b"), ("a", None), ["a", "b"], {"a": 0, "b": 1}, None,
    ("a", "b\n"),
]  # fmt: skip
WRONG = [
    *(("labels", labels, "labels") for labels in LABELS),
    ("name", "", "name"),
    ("name", " loans", "name"),
    ("name", None, "name"),
    ("features", Feature("region", kind="category"), "features"),
    ("features", ("region",), "features"),
    ("features", [Feature("region", kind="category")], "features"),
    ("features", (Feature("region", kind="text"),), "kind"),
    ("features", (Feature("region", kind="category"), Feature("region", kind="number")), "'region'"),
    ("features", (Feature("region", kind="category"), Feature("veteran", kind="number")), "'veteran'"),
    ("features", (Feature("", kind="category"),), "column"),
    ("features", (Feature("_row", kind="category"),), "'_row'"),
    ("features", (Feature(" size", kind="category"),), "' size'"),
    *(("features", (Feature(name, kind="number"),), name) for name in ("id", "gold_at", "weight", "soft_grant")),
    ("protected", (ProtectedAttribute("part", member="a", rest="b"),), "part"),
    ("protected", (ProtectedAttribute("age", member="a", rest="a"),), "'age'"),
    ("protected", ("age",), "protected"),
    ("protected", (), "no_protected_because"),
    ("favorable_labels", "grant", "favorable_labels"),
    ("favorable_labels", ("loan",), "favorable_labels"),
    ("favorable_labels", ("grant", "refuse"), "favorable_labels"),
    ("strata", "region", "strata"),
    ("strata", ("country",), "strata"),
    ("gold_delay_days", -1, "gold_delay_days"),
    ("gold_delay_days", "14", "gold_delay_days"),
    ("gold_delay_days", True, "gold_delay_days"),
    ("required_columns", "id", "required_columns"),
    ("required_columns", ("id", 1), "required_columns"),
    ("requires_text", "yes", "requires_text"),
]


def test_a_good_schema_is_taken() -> None:
    assert DomainSchema(**GOOD).labels == ("grant", "refuse")
    assert DomainSchema(**{**GOOD, "favorable_labels": (), "strata": (), "features": ()}).features == ()


@pytest.mark.parametrize(("field", "value", "named"), WRONG, ids=repr)
def test_a_schema_that_cannot_work_is_refused(field, value, named) -> None:
    with pytest.raises(InputError, match=named):
        DomainSchema(
            **{**GOOD, "favorable_labels": () if field == "labels" else GOOD["favorable_labels"], field: value}
        )


@pytest.mark.parametrize(
    ("labels", "form"),
    [
        ((0, 1), r"\('0', '1'\)"),
        ("spam", r"\('spam', 'other'\)"),
        (("a\nb", "c"), r"\('a b', 'c'\)"),
        (["a", "b"], r"\('a', 'b'\)"),
    ],
)
def test_the_message_shows_the_right_form_of_labels(labels, form) -> None:
    with pytest.raises(InputError, match=f"such as {form}"):
        DomainSchema(**{**GOOD, "labels": labels})


def test_a_parameter_names_only_protected_attributes_of_the_domain() -> None:
    schema = DomainSchema(**GOOD)
    known = [attribute.name for attribute in schema.protected]
    schema.require_protected(known, parameter="bias_gate.undecided_passes")
    with pytest.raises(ParamsError, match=r"bias_gate\.undecided_passes\.elder"):
        schema.require_protected([*known, "elder"], parameter="bias_gate.undecided_passes")
