"""Through DVC: each source gives its own rows, one that is gone fails, and equal files give equal lock files."""

import shutil

import pandas as pd
import pytest
import yaml

from tests.factories.checkout import Checkout, output_of, stages_run
from tests.factories.tickets import END, SCHEMA, START, tickets, write_csv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A checkout on the help desk's files, and two customers' folders with equal names and other rows."""
    folder = tmp_path_factory.mktemp("sources")
    made = Checkout(folder).make()
    shutil.copytree(made.root / "pipelines/domains/complaints", made.root / "desk")
    (made.root / "desk" / "schema.py").write_text(SCHEMA)
    files = {"paths": ["in/*.csv"], "encoding": "utf-8"}
    window = {"source": "files", "start": START.isoformat(), "end": END.isoformat(), "files": files}
    made.edit("params.yaml", lambda params: params.update(domain="desk"))
    made.edit("params.yaml", lambda params: params["ingest"].update(window))
    for customer in ("a", "b"):
        rows = [{**row, "ticket": customer + row["ticket"]} for row in tickets(560)]
        write_csv(folder / customer / "in" / "tickets.csv", rows)
    made.customers = folder
    return made


def ingest(checkout, customer, **more):
    return checkout.dvc("repro", "ingest", PERENNIAL_DATA=str(checkout.customers / customer), **more)


def owners(checkout):
    """First letters of the ids in the records."""
    return set(pd.read_parquet(checkout.root / "data/ingest/records.parquet")["id"].str[0])


def lock(checkout):
    return yaml.safe_load((checkout.root / "dvc.lock").read_text())["stages"]


def test_each_source_gives_its_own_rows_and_a_missing_one_fails(clone, tmp_path):
    for customer in ("a", "b", "a"):
        answer = ingest(clone, customer)
        assert answer.returncode == 0, output_of(answer)
        assert owners(clone) == {customer}
    assert stages_run(ingest(clone, "a")) == ["source"]
    gone = ingest(clone, "nowhere")
    assert gone.returncode != 0, output_of(gone)
    assert "matches no file" in gone.stderr
    assert stages_run(gone) == ["source"]
    replay = ingest(clone, "nowhere", PERENNIAL_REPLAY="1")
    assert replay.returncode == 0, output_of(replay)
    assert owners(clone) == {"a"}

    other = clone.copy(tmp_path)
    shutil.copytree(clone.customers / "a", tmp_path / "elsewhere")
    (other.root / "dvc.lock").unlink()
    shutil.rmtree(other.root / "data" / "source")
    answer = other.dvc("repro", "ingest", PERENNIAL_DATA=str(tmp_path / "elsewhere"))
    assert answer.returncode == 0, output_of(answer)
    assert lock(other) == lock(clone)
