"""Overrides and the window of a run: everything that is wrong is found before anything starts."""

import shutil
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.live.release.job import prepare
from pipelines.live.release.registry import Registry
from pipelines.runtime.errors import StoreError

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the repository's own parameters, where nothing may be started."""
    for name in ("params.yaml", "pipelines/domains/complaints/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERENNIAL_DATA", raising=False)
    monkeypatch.setattr(Registry, "open", lambda project: pytest.fail("something was started"))
    return tmp_path


@pytest.fixture
def domain(checkout):
    """The folder of that checkout's domain, with all its files."""
    folder = checkout / "pipelines" / "domains" / "complaints"
    shutil.copytree(ROOT / "pipelines" / "domains" / "complaints", folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("promote: {margin: 1.5}\ndedupe: {min_rows: -1}\n", "promote.margin = 1.5"),
        ("promote: {margin: 1.5}\ndedupe: {min_rows: -1}\n", "dedupe.min_rows = -1"),
        ("promote: {margn: 0.1}\n", "promote.margn"),
        ("promot: {margin: 0.1}\n", "unknown section 'promot'"),
        ("promote: 3\n", "invalid promote = 3"),
        ("promote: null\ningest: {start: 2025-01-06, end: 2025-01-06}\n", "start = 2025-01-06 is not before"),
        ("promote:\n  margin: [\n", "over.yaml is not readable as YAML"),
        ("promote:\n  margin: [\n", "line 3"),
        ("- promote\n", "over.yaml contains list"),
        ("domain: nowhere\n", "domain = 'nowhere'"),
        ("ingest: {source: files, files: {paths: [a.csv]}}\n", "'a.csv' matches no file"),
    ],
)
def test_a_wrong_parameter_file_writes_and_starts_nothing(checkout, capsys, content, message):
    before = (checkout / "params.yaml").read_bytes()
    (checkout / "over.yaml").write_text(content)
    assert main(["run", "--params", "over.yaml"]) == 64
    assert message in capsys.readouterr().err
    assert (checkout / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("path", ["nowhere.yaml", "pipelines"])
def test_a_parameter_file_that_is_not_there_is_named(checkout, capsys, path):
    assert main(["run", "--params", path]) == 64
    assert f"{path} is not a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("margin: 0.02", "margin: 2", "promote.margin = 2"),
        ("margin: 0.02", "margin: [", "params.yaml is not readable as YAML"),
        ("\nserve:\n", "\nserver:\n", "section serve is missing in params.yaml"),
    ],
)
@pytest.mark.parametrize("words", [[], ["--start", "2025-01-06", "--end", "2025-03-03"]])
def test_a_broken_file_of_ones_own_starts_nothing_either(checkout, capsys, old, new, message, words):
    text = (checkout / "params.yaml").read_text().replace(old, new)
    (checkout / "params.yaml").write_text(text)
    assert main(["run", *words]) == 64
    assert message in capsys.readouterr().err
    assert (checkout / "params.yaml").read_text() == text


def test_a_file_and_a_window_are_laid_over_together(checkout):
    (checkout / "over.yaml").write_text("ingest: {start: 2024-01-01, end: 2024-02-01}\npromote: {margin: 0.1}\n")
    moved = prepare(checkout, environment={}, params="over.yaml", start="2025-01-06", end="2025-03-03")
    assert moved == [
        'ingest.start: null -> "2025-01-06"',
        'ingest.end: null -> "2025-03-03"',
        "promote.margin: 0.02 -> 0.1",
    ]
    assert prepare(checkout, environment={}, params="over.yaml", start="2025-01-06", end="2025-03-03") == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("behaviors.py", "", "behaviors.py defines no Behavior"),
        ("behaviors.py", "one = 1\ntwo = one +\n", "behaviors.py, line 2: invalid syntax"),
        ("labeling_functions.py", "import polars as pl\npl.nothing\n", "labeling_functions.py, line 2: import failed"),
        ("schema.py", None, "schema.py is missing"),
    ],
)
def test_a_broken_file_of_the_domain_starts_nothing(domain, capsys, file, content, message):
    (domain / file).unlink()
    if content is not None:
        (domain / file).write_text(content)
    assert main(["pin"]) == main(["run"]) == 66
    assert message in capsys.readouterr().err


def test_wrong_parameters_are_found_where_a_run_begins(checkout, capsys):
    text = (checkout / "params.yaml").read_text().replace("margin: 0.02", "margin: 2")
    (checkout / "params.yaml").write_text(text)
    assert main(["pin"]) == 64
    assert "params.yaml is invalid:\n  invalid promote.margin = 2:" in capsys.readouterr().err


def test_whole_parameters_and_a_whole_domain_reach_the_registry(domain, monkeypatch, capsys):
    def unreachable(project):
        raise StoreError("the registry was asked")

    monkeypatch.setattr(Registry, "open", unreachable)
    assert main(["pin"]) == StoreError.exit_code
    assert "the registry was asked" in capsys.readouterr().err
