"""A stage has one name: its folder, its block in dvc.yaml, its section in both params.yaml, its outputs' folder."""

import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.runtime.sections import section_models

ROOT = Path(__file__).resolve().parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SECTION = {"source": "ingest"}  # what to read is stated once, in the section of the stage that reads it
DOMAIN = yaml.safe_load((ROOT / PARAMS["domain"] / "params.yaml").read_text())


def outputs(stage: dict) -> list[str]:
    """Paths of everything a stage writes."""
    items = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(item)) if isinstance(item, dict) else item for item in items]


@pytest.mark.parametrize("name", GRAPH)
def test_one_name_everywhere(name):
    assert (ROOT / "pipelines" / "stages" / name / "__main__.py").is_file()
    assert GRAPH[name]["cmd"] == f"python -m pipelines.stages.{name}"
    assert SECTION.get(name, name) in PARAMS
    assert SECTION.get(name, name) in DOMAIN
    assert (ROOT / "tests" / "pipelines" / "stages" / name).is_dir()


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_writes_below_its_own_folder_only(name):
    assert outputs(GRAPH[name])
    assert all(path.startswith(f"data/{name}/") for path in outputs(GRAPH[name]))


@pytest.mark.parametrize("name", GRAPH)
def test_what_is_called_a_plot_is_one_that_dvc_can_draw(name):
    plots = outputs({"plots": GRAPH[name].get("plots", [])})
    assert {Path(path).suffix for path in plots} <= {".csv", ".tsv", ".json", ".yaml"}
    for plot in GRAPH[name].get("plots", []):
        (options,) = plot.values()  # a bare path would be drawn over the number of its row, whatever its columns mean
        assert {"template", "title", "x", "y"} <= set(options), plot
        assert (ROOT / ".dvc" / "plots" / f"{options['template']}.json").exists() or options["template"] == "simple"


@pytest.mark.parametrize("name", GRAPH)
def test_a_section_is_followed_in_both_files(name):
    """`section()` lays params.yaml over the domain's file: a parameter that DVC follows in one only would not be
    seen.
    """
    ours = {item for item in GRAPH[name].get("params", []) if isinstance(item, str)}
    theirs = {
        section
        for item in GRAPH[name].get("params", [])
        if isinstance(item, dict)
        for section in item["${domain}/params.yaml"]
    }
    assert ours - {"domain", "resources"} == theirs
    section = SECTION.get(name, name)
    assert {section, *section_models()[section].shared} <= theirs
    assert ours <= set(PARAMS)


@pytest.mark.parametrize("name", GRAPH)
def test_a_verdict_named_for_airflow_is_written(name):
    verdict = GRAPH[name].get("meta", {}).get("airflow", {}).get("verdict")
    if verdict is not None:
        assert verdict in outputs(GRAPH[name])


@pytest.mark.parametrize("name", GRAPH)
def test_what_a_stage_reads_of_another_is_a_dependency(name):
    written = {path: stage for stage, block in GRAPH.items() for path in outputs(block)}
    own = outputs(GRAPH[name])
    for path in GRAPH[name]["deps"]:
        if path.startswith("data/") and not path.startswith(("data/champion", "data/overrides")):
            assert path in written, f"{name} depends on {path}, which no stage writes"
            assert path not in own


def test_the_stage_folders_are_the_stages():
    folders = {item.parent.name for item in (ROOT / "pipelines" / "stages").glob("*/__main__.py")}
    assert folders == set(GRAPH)


def test_main_ships_no_evidence_of_a_run():
    tracked = subprocess.run(["git", "ls-files", "data"], cwd=ROOT, capture_output=True, text=True, check=True)
    stages = tuple(f"data/{name}/" for name in (*GRAPH, "pages"))
    assert not [name for name in tracked.stdout.splitlines() if name.startswith(stages)]
    lock = subprocess.run(["git", "show", ":dvc.lock"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert yaml.safe_load(lock.stdout)["stages"] == {}  # as it is tracked: a run has changed the file itself
