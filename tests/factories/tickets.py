"""A small domain and a private checkout in which the stage runs for real, in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

START, END = date(2024, 1, 1), date(2024, 2, 26)  # eight whole weeks

SCHEMA = '''
"""Tickets of a help desk."""
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute

SCHEMA = DomainSchema(
    name="tickets", labels=("refund", "repair"),
    features=(Feature("channel", kind="category"), Feature("price", kind="number")),
    protected=(ProtectedAttribute("senior", member="seniors", rest="others"),), no_protected_because=None,
    favorable_labels=(), strata=(), gold_delay_days=14,
    required_columns=("ticket", "day", "words"), requires_text=True,
)

class RawSchema(pa.DataFrameModel):
    ticket: Series[str] = pa.Field(nullable=True)
    day: Series[str] = pa.Field(str_matches=r"^\\d{4}-\\d{2}-\\d{2}")
    price: Series[str] = pa.Field(nullable=True, str_matches=r"^\\d+(\\.\\d+)?$")
    label: Series[str] = pa.Field(nullable=True, isin=["refund", "repair"])

    @pa.check("ticket", ignore_na=False, error="ticket is missing")
    def named(cls, ids: pd.Series) -> pd.Series:
        return ids.notna()

def normalize(raw: pd.DataFrame) -> pd.DataFrame:
    frame = raw.rename(columns=lambda name: str(name).strip().lower())
    for name in ("price", "label", "channel", "senior"):
        if name not in frame:
            frame[name] = pd.Series(None, index=frame.index, dtype="str")
    return frame

def to_records(raw: pd.DataFrame) -> pd.DataFrame:
    received = pd.to_datetime(raw["day"], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return pd.DataFrame({
        "id": raw["ticket"], "text": raw["words"].fillna(""), "received_at": received,
        "entity": pd.Series(None, index=raw.index, dtype="str"), "gold": raw["label"],
        "gold_at": (received + pd.Timedelta(days=14)).where(raw["label"].notna()),
        "channel": raw["channel"], "price": pd.to_numeric(raw["price"]),
        "senior": raw["senior"].map({"yes": 1, "no": 0}).astype("Int8"),
    })
'''

Row = dict[str, Any]


def ticket(number: int, **changes: Any) -> Row:
    """One good raw row; tickets are spread over the eight weeks."""
    row = {
        "ticket": f"t{number:05d}",
        "day": (START + timedelta(days=number % 56)).isoformat(),
        "words": f"My parcel number {number % 7} is broken, please help",
        "channel": ("web", "mail")[number % 2],
        "price": str(10 + number % 5),
        "label": ("refund", "repair")[number % 2],
        "senior": ("yes", "no", "no")[number % 3],
    }
    return {**row, **changes}


def tickets(count: int = 560, **changes: Any) -> list[Row]:
    return [ticket(number, **changes) for number in range(count)]


def write_csv(path: Path, rows: list[Row], *, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def schema_folder(folder: Path) -> Path:
    """Write the schema of the domain into a folder and return the folder."""
    (folder / "schema.py").write_text(SCHEMA)
    return folder


class Checkout:
    """A folder with params.yaml, a domain and `data/`, in which ingest runs."""

    def __init__(self, folder: Path, section: Row) -> None:
        self.folder = folder
        self.params: Row = {
            "domain": "domain",
            "resources": {"threads": 1, "seed": 7},
            "ingest": {**section, "source": "files", "start": START, "end": END},
        }
        (folder / "domain").mkdir()
        schema_folder(folder / "domain")
        (folder / "domain" / "params.yaml").write_text("ingest: {}\nsimulator: {}\n")
        (folder / "data").mkdir()
        (folder / "data" / "last_good.json").write_text("{}\n")
        self.set(files={"paths": ["in/*"]}, limits={"max_rejected_share": 0.05, "volume": [0.4, 2.5]})

    def set(self, **parameters: Any) -> None:
        section = self.params["ingest"]
        for name, value in parameters.items():
            section[name] = {**section.get(name, {}), **value} if isinstance(value, dict) else value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def csv(self, rows: list[Row], name: str = "tickets.csv", **rest: Any) -> Path:
        return write_csv(self.folder / "in" / name, rows, **rest)

    def run(self) -> None:
        from pipelines.runtime.project import Project
        from pipelines.stages.ingest.__main__ import main

        main(Project.open())

    def exit_code(self) -> int:
        from pipelines.runtime.runner import execute
        from pipelines.stages.ingest.__main__ import main

        return execute("ingest", main)

    def bytes(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted((self.folder / "data" / "ingest").iterdir())}

    def records(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "data/ingest/records.parquet")

    def quarantine(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "data/ingest/quarantine.parquet")

    def metrics(self) -> Row:
        return json.loads((self.folder / "data/ingest/metrics.json").read_text())["details"][0]

    def outcomes(self) -> dict[str, str]:
        verdict = json.loads((self.folder / "data/ingest/verdict.json").read_text())
        return {check["name"]: check["outcome"] for check in verdict["checks"]} | {"passed": verdict["passed"]}


@pytest.fixture
def checkout(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    section = yaml.safe_load((repository / "params.yaml").read_text())["ingest"]
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PERENNIAL_DATA", raising=False)
    return Checkout(folder, section)


@pytest.fixture
def after_ingest(checkout: Checkout) -> Callable[[list[Row]], Checkout]:
    """The checkout after ingest of these rows."""

    def run(rows: list[Row], **parameters: Any) -> Checkout:
        checkout.csv(rows)
        checkout.set(**parameters)
        checkout.run()
        return checkout

    return run
