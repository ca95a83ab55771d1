"""What is wrong with the files of a domain is an input error when the domain is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from tests.factories.tickets import SCHEMA

BEHAVIORS = """
from pipelines.records.behaviors import adversarial, minimum_functionality
good = adversarial("good", examples=[("", None)], at_least=1.0, doc="odd input gets an answer")
"""


def domain(folder: Path, *, schema: str = SCHEMA, behaviors: str = BEHAVIORS) -> Domain:
    (folder / "schema.py").write_text(schema)
    (folder / "behaviors.py").write_text(behaviors)
    return Domain(folder)


def test_a_good_domain_loads(tmp_path) -> None:
    made = domain(tmp_path)
    assert made.schema.name == "tickets" and len(made.behaviors) == 1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("def normalize(raw:", "def normalize(raw, other, rest:", "normalize"),
        ("def normalize(raw: pd.DataFrame)", "def normalize()", "normalize"),
        ("def to_records(raw: pd.DataFrame)", "def to_records(*, raw: pd.DataFrame)", "to_records"),
        ("def to_records", "derive = 5\n\ndef to_records", "derive"),
        ("class RawSchema(pa.DataFrameModel)", "class RawSchema", "RawSchema"),
        ('labels=("refund", "repair")', "labels=(0, 1)", "labels"),
    ],
)
def test_a_schema_file_of_another_form_is_refused(tmp_path, old, new, named) -> None:
    assert old in SCHEMA
    with pytest.raises(InputError, match=named):
        _ = domain(tmp_path, schema=SCHEMA.replace(old, new)).schema


@pytest.mark.parametrize(
    "line",
    [
        'bad = minimum_functionality("bad", examples=[], at_least=1.0, doc="no case")',
        'bad = minimum_functionality("bad", examples=[("x", "praise")], at_least=1.0, doc="no such label")',
        'bad = minimum_functionality("good", examples=[("x", "refund")], at_least=1.0, doc="one name twice")',
    ],
)
def test_behaviors_without_cases_unknown_labels_and_equal_names_are_refused(tmp_path, line) -> None:
    with pytest.raises(InputError, match=r"behaviors\.py"):
        _ = domain(tmp_path, behaviors=f"{BEHAVIORS}{line}\n").behaviors
