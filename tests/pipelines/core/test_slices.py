"""Slices of a test set: which there are, and that the small ones are left out."""

from dataclasses import replace

import numpy as np
import pandas as pd

from pipelines.core.domain import DomainSchema, Feature, ProtectedAttribute
from pipelines.core.slices import slice_rows, strata_rows

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


def slices(records, **knobs):
    found = slice_rows(records, schema=SCHEMA, **({"max_categories": 5, "length_bands": 4, "min_rows": 1} | knobs))
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


def test_strata_are_values_and_bands_of_numbers_and_hold_every_row_once():
    schema = replace(
        SCHEMA, features=(Feature("age", kind="number"), Feature("desk", kind="category")), strata=("age", "desk")
    )
    records = pd.DataFrame(
        {"age": [*range(20, 60), None], "desk": pd.array(["a"] * 20 + ["b"] * 20 + [None], dtype="string")}
    )
    found = strata_rows(records, schema=schema)
    assert [part.name for part in found if part.kind == "age"] == [
        *("age=20 to 29", "age=30 to 39", "age=40 to 49", "age=50 to 59", "age=missing"),
    ]  # fmt: skip
    assert [part.name for part in found if part.kind == "desk"] == ["desk=a", "desk=b", "desk=missing"]
    for kind in ("age", "desk"):
        rows = np.concatenate([part.rows for part in found if part.kind == kind])
        assert sorted(rows) == list(range(len(records)))
