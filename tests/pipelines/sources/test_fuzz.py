"""Two thousand mutated files: a message or a reconciled result, never a crash, a swallowed row or a lost character."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from pipelines.runtime.params import Parameters
from pipelines.sources.files import FilesSource
from pipelines.stages.ingest.checks import read_last_good
from pipelines.stages.ingest.flow import ingest
from pipelines.stages.ingest.params import IngestParams
from tests.factories.mutations import TOKEN, Case, make
from tests.factories.tickets import END, START, schema_folder

QUOTES = re.compile(r"""\\n|["'\\]|\r\n?|\n""")


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    return Domain(schema_folder(tmp_path_factory.mktemp("domain")))


@pytest.fixture(scope="module")
def params(repository: Path) -> IngestParams:
    section = dict(Parameters.read(repository).ours["ingest"])
    limits = {
        **section["limits"],
        "min_rows": 10,
        "max_rejected_share": 0.3,
        "max_stale_days": 60,
        "volume": [0.0, 99.0],
    }
    window = {"source": "files", "start": START, "end": END, "files": {"paths": ["**/*"]}}
    return IngestParams.model_validate({**section, **window, "limits": limits})


def run(case: Case, *, domain: Domain, params: IngestParams, outputs: Path):
    """The result of ingest, its records and its lost rows; None for an input error with a message."""
    (outputs / "scratch").mkdir(parents=True)
    try:
        result = ingest(
            FilesSource(paths=params.files.paths, encoding=case.encoding, root=case.folder),
            domain=domain,
            params=params,
            last_good=read_last_good({}),
            scratch=outputs / "scratch",
            records=outputs / "records.parquet",
            quarantine=outputs / "quarantine.parquet",
        )
    except InputError as error:
        assert len(str(error)) > 20
        return None
    return result, pd.read_parquet(outputs / "records.parquet"), pd.read_parquet(outputs / "quarantine.parquet")


def check(case: Case, result, records: pd.DataFrame, lost: pd.DataFrame) -> None:
    """Nothing is lost, glued or changed behind an open gate."""
    written = set(TOKEN.findall(case.truth))
    noticed = len(records) + len(lost) + result.metrics["rows"]["outside_window"]
    assert noticed >= len(written), f"{len(written) - noticed} rows went unnoticed"
    counted = result.metrics["accounting"]["characters"]
    unescaped = re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), case.truth)
    truth = QUOTES.sub("", case.truth) + QUOTES.sub("", unescaped)
    for record in records.itertuples():
        assert len(set(TOKEN.findall(record.text))) <= 1, f"rows are glued: {record.text!r}"
        if not counted:
            assert QUOTES.sub("", record.text).strip() in truth, f"characters changed: {record.text!r}"


@pytest.mark.parametrize(
    "share",
    [*range(5), *(pytest.param(share, marks=[pytest.mark.long, pytest.mark.slow]) for share in range(5, 100))],
)
def test_mutated_input_is_refused_or_accounted_for(share, tmp_path, domain, params) -> None:
    failed = []
    for seed in range(share * 20, share * 20 + 20):
        folder = tmp_path / f"in{seed}"
        folder.mkdir()
        case = make(seed, folder)
        try:
            found = run(case, domain=domain, params=params, outputs=tmp_path / f"out{seed}")
            if found is not None and found[0].verdict.passed:
                check(case, *found)
        except Exception as error:
            failed.append(f"seed {seed}: {', '.join(case.steps)}: {type(error).__name__}: {error}")
    assert failed == []
