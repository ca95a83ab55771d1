"""A domain's own redaction is applied to training and live texts alike, and is checked when the domain is loaded."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipelines.records.conversion import to_live_records, to_records
from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError

OWN = """
import re

def redact(texts):
    return [re.sub(r"\\d\\d/[WB]/[MF]", "(person)", text) for text in texts]
"""


def domain_with(folder: Path, repository: Path, *, own: str) -> Domain:
    shutil.copytree(
        repository / "pipelines" / "domains" / "complaints", folder, ignore=shutil.ignore_patterns("__pycache__")
    )
    with (folder / "schema.py").open("a", encoding="utf-8") as file:
        file.write(own)
    return Domain(folder)


def raw_row(text: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Date received": "2025-03-01",
                "Product": "Mortgage",
                "Consumer complaint narrative": text,
                "Company": "A BANK",
                "State": "NY",
                "Complaint ID": "1",
                "Submitted via": "Web",
                "Tags": "",
            }
        ]
    )


@pytest.mark.slow
def test_training_and_live_texts_are_redacted_alike(tmp_path, repository) -> None:
    domain = domain_with(tmp_path / "own", repository, own=OWN)
    text = "The officer wrote 34/W/F, call 212-555-0147 about the mortgage."
    found = to_records(raw_row(text), domain=domain)
    live = to_live_records(pd.DataFrame({"id": ["1"], "text": [text]}), domain=domain)
    assert found.rejected == {}
    assert found.records["text"].tolist() == live["text"].tolist()
    assert "(person)" in live["text"].iloc[0] and "34/W/F" not in live["text"].iloc[0]
    assert found.redactions["domain"] == 1


@pytest.mark.parametrize(
    "own",
    [
        "def redact(): return []",
        "def redact(texts): return texts[:1]",
        "def redact(texts): return [None for _ in texts]",
        "def redact(texts): raise ValueError('no')",
    ],
)
def test_a_redaction_that_cannot_work_is_refused_when_the_domain_is_loaded(tmp_path, repository, own) -> None:
    with pytest.raises(InputError, match="redact"):
        _ = domain_with(tmp_path / "own", repository, own=f"\n{own}\n").schema
