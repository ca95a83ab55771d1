"""Every environment variable that the code reads is in the table of docs/architecture.md, and no other."""

import re
from pathlib import Path

from pipelines.runtime.places import FOLDERS, TRACKING

ROOT = Path(__file__).resolve().parents[2]
CODE = ("pipelines/**/*.py", "dags/**/*.py", "scripts/*", "Makefile", "docker/*")


def rows() -> dict[str, str]:
    """What the table states about a relative value, by variable."""
    text = (ROOT / "docs" / "architecture.md").read_text().split("### Environment variables")[1].split("\n\n")[2]
    cells = [line.strip("| ").split("|") for line in text.splitlines()[2:]]
    return {name: cell[-1].strip() for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell[0])}


def test_the_table_lists_what_the_code_reads():
    files = [file for pattern in CODE for file in ROOT.glob(pattern) if file.is_file()]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    read = set(re.findall(r"PERENNIAL_[A-Z]+(?:_[A-Z]+)*(?!__|[A-Z])|MLFLOW_TRACKING_URI", text))
    read |= {f"PERENNIAL_{name}" for name in re.findall(r"(?:given|place)\(\"([A-Z_]+)\"\)", text)}
    assert read == set(rows())


def test_what_is_made_absolute_is_stated():
    stated = rows()
    assert all("starts at the checkout" in stated[name] for name in (*FOLDERS, TRACKING, "PERENNIAL_SQL_URL"))
    assert stated["PERENNIAL_HOME"] == "is refused"
