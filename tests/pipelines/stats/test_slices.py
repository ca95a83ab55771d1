"""Slices of a test set: which there are, and that the small ones are left out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.stats.slices import comparable_strata, slice_rows

SCHEMA = DomainSchema(
    name="shop",
    labels=("a", "b"),
    features=(Feature("channel", kind="category"), Feature("town", kind="category"), Feature("amount", kind="number")),
    protected=(ProtectedAttribute("senior", member="seniors", rest="others"),),
    no_protected_because=None,
    favorable_labels=(),
    strata=(),
    gold_delay_days=7,
    required_columns=(),
    requires_text=True,
)


def frame(n=40):
    return pd.DataFrame(
        {
            "text": pd.Series(["x" * (i + 1) for i in range(n)], dtype="string"),
            "received_at": pd.date_range("2025-01-20", periods=n, freq="D", tz="UTC"),
            "gold": pd.Series((["a"] * 3 + ["b"]) * (n // 4), dtype="string"),
            "channel": pd.Series(["web", "phone"] * (n // 2), dtype="string"),
            "town": pd.Series([f"town {i}" for i in range(n)], dtype="string"),
            "amount": 1.0,
            "senior": pd.Series(([1, 0, None, 0]) * (n // 4), dtype="Int8"),
        }
    )


def slices(records, **parameters):
    found = slice_rows(records, schema=SCHEMA, **({"max_categories": 5, "length_bands": 4, "min_rows": 1} | parameters))
    return {(part.kind, part.name): len(part.rows) for part in found}


def test_groups_small_categories_lengths_months_and_classes_are_cut():
    found = slices(frame())
    assert found["senior", "seniors"] == 10
    assert found["senior", "others"] == 20
    assert found["channel", "web"] == 20
    assert ("town", "town 1") not in found
    assert found["month", "2025-01"] == 12
    assert found["gold label", "b"] == 10
    assert [n for (kind, _), n in found.items() if kind == "text length"] == [10, 10, 10, 10]


def test_small_slices_are_left_out():
    assert ("senior", "seniors") not in slices(frame(), min_rows=11)


def test_a_domain_without_text_has_no_lengths_and_no_rows_no_slices():
    assert not any(kind == "text length" for kind, _ in slices(frame().assign(text="")))
    assert slices(frame().iloc[:0]) == {}


AGED = replace(
    SCHEMA, features=(Feature("age", kind="number"), Feature("desk", kind="category")), strata=("age", "desk")
)


def strata(desks, *, at_least, among=None, schema=AGED):
    records = pd.DataFrame({"age": [*range(20, 60), None], "desk": pd.array(desks, dtype="string")})
    group = np.array([1, 0] * 20 + [-1], dtype=np.int8)
    found = comparable_strata(records, schema=schema, group=group, at_least=at_least, among=among)
    return {part.name: part.rows.tolist() for part in found}


def test_strata_are_values_and_bands_of_numbers_that_hold_both_groups():
    found = strata(["a"] * 20 + ["b"] * 20 + [None], at_least=5)
    assert list(found) == ["age=20 to 29", "age=30 to 39", "age=40 to 49", "age=50 to 59", "desk=a", "desk=b"]
    assert found["age=30 to 39"] == list(range(10, 20)) and found["desk=b"] == list(range(20, 40))


def test_rare_values_of_a_stratum_are_pooled_and_no_row_escapes():
    desks = ["a"] * 20 + [f"d{i}" for i in range(20)] + [None]
    found = strata(desks, at_least=5, schema=replace(AGED, strata=("desk",)))
    assert found == {"desk=a": list(range(20)), "desk=any other": list(range(20, 41))}
    assert list(strata(desks, at_least=5, among=np.arange(41) < 25, schema=replace(AGED, strata=("desk",)))) == [
        "desk=a"
    ]


@pytest.mark.parametrize("names", [(), ("desk",)])
def test_where_no_stratum_is_large_there_is_one_part_of_every_row(names):
    found = strata(
        [f"d{i}" for i in range(41)], at_least=5, schema=replace(AGED, strata=names), among=np.arange(41) > 3
    )
    assert found == {"": list(range(4, 41))}
