"""docs/your-own-domain.md is followed from its text alone: its blocks are a domain that loads, reads and votes."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipelines.records.domain import Domain
from pipelines.records.labeling import check_examples

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/your-own-domain.md").read_text(encoding="utf-8")


@pytest.fixture
def library(tmp_path: Path) -> Domain:
    """The page's blocks as a folder."""
    python = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names = ("schema.py", "schema.py", "labeling_functions.py", "behaviors.py", "simulator.py")  # `redact` is added
    for name, block in zip(names, python, strict=True):
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(block)
    (tmp_path / "params.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[0], encoding="utf-8")
    return Domain(tmp_path)


def test_its_rows_become_records(library: Domain) -> None:
    rows = [
        {"message_id": "1", "sent": "2025-03-31", "body": "I was charged a late fee", "desk": "fines"},
        {"message_id": "2", "sent": "2025-04-01", "body": "", "desk": ""},
    ]
    raw = pd.DataFrame(rows, dtype="str").assign(Reader="r", branch="north", print=["large", "normal"])
    records = library.to_records(library.raw_schema.validate(library.normalize(raw), lazy=True))
    assert records["gold"].tolist()[:1] == ["fines"] and pd.isna(records["gold"][1])
    assert records["text"].tolist() == ["I was charged a late fee", ""]
    assert records["large_print"].tolist() == [1, 0]
    assert (records["gold_at"][0] - records["received_at"][0]).days == 14


def test_its_functions_and_behaviors_work(library: Domain) -> None:
    assert [function.name for function in library.labeling_functions] == [
        "speaks_of_fines",
        "busy_branch",
        "wants_to_renew",
    ]
    check_examples(library.labeling_functions, labels=library.schema.labels)
    assert all(behavior.cases() for behavior in library.behaviors)


def test_its_params_have_the_sections_that_the_shipped_domain_has(library: Domain) -> None:
    ours = yaml.safe_load((library.folder / "params.yaml").read_text(encoding="utf-8"))
    shipped = yaml.safe_load((ROOT / "pipelines/domains/complaints/params.yaml").read_text(encoding="utf-8"))
    assert set(ours) == set(shipped)


def test_what_a_smaller_problem_lowers_are_parameters_and_lower() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    small = next(block for block in blocks if "min_part_rows: {" in block)
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    flat = pd.json_normalize(yaml.safe_load(small)).iloc[0]
    assert len(flat) == 8
    for name, value in flat.items():
        assert value < pd.json_normalize(shipped).iloc[0][name], name
