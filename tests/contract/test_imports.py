"""Imports go down the table of pipelines/imports.yaml only, and a stage depends on everything that it can import."""

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

from pipelines.runtime.imports import closure, imported

ROOT = Path(__file__).resolve().parents[2]
TABLE = yaml.safe_load((ROOT / "pipelines" / "imports.yaml").read_text())
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
GROUPS = ("stages", "live", "domains")


def unit(parts: tuple[str, ...]) -> str:
    """Line of the table that a path below `pipelines/` belongs to."""
    return "/".join(parts[:2]) if parts[0] in GROUPS else parts[0]


def units_imported(folder: str) -> dict[str, Path]:
    """What the modules of a folder import of the project, each with one module that does."""
    found = {}
    for file in sorted((ROOT / "pipelines" / folder).rglob("*.py")):
        for name in imported(file, root=ROOT):
            parts = tuple(name.split("."))
            if parts[0] == "pipelines" and len(parts) > (2 if parts[1:2] and parts[1] in GROUPS else 1):
                found[unit(parts[1:])] = file
    found.pop(folder, None)
    return found


def test_the_table_names_every_folder_and_no_other():
    folders = {
        unit(file.relative_to(ROOT / "pipelines").parts)
        for file in (ROOT / "pipelines").glob("*/**/*.py")
        if file.relative_to(ROOT / "pipelines").parts[1:] != ("__init__.py",) or file.parent.name not in GROUPS
    }
    assert folders == set(TABLE)


@pytest.mark.parametrize("folder", TABLE)
def test_a_line_lists_only_folders_above_it(folder):
    above = list(TABLE)[: list(TABLE).index(folder)]
    assert set(TABLE[folder]) <= set(above)


@pytest.mark.parametrize("folder", TABLE)
def test_a_folder_imports_what_its_line_lists_and_nothing_else(folder):
    found = units_imported(folder)
    assert set(found) - set(TABLE[folder]) == set(), {name: found[name] for name in set(found) - set(TABLE[folder])}
    assert set(TABLE[folder]) - set(found) == set(), "listed and not imported"


@pytest.mark.parametrize("folder", [name for name in TABLE if name.startswith("stages/")])
def test_stages_meet_only_in_files(folder):
    assert not [name for name in TABLE[folder] if name.startswith(("stages/", "live/", "domains/"))]


def test_dags_import_nothing_of_the_pipelines():
    for file in sorted((ROOT / "dags").rglob("*.py")):
        names = {name.split(".")[0] for name in imported(file, root=ROOT)}
        assert not names & {"pipelines", "dvc", "pandas", "torch"}, file


def test_a_domain_imports_its_own_modules_only():
    for file in sorted((ROOT / "pipelines" / "domains").rglob("*.py")):
        own = ".".join(file.relative_to(ROOT).parts[:-1])
        others = {name for name in imported(file, root=ROOT) if name.startswith("pipelines.domains.")}
        assert all(name.startswith(own) for name in others), (file, others)


@pytest.mark.parametrize("stage", GRAPH)
def test_a_stage_depends_on_every_module_that_it_can_import(stage):
    folders = [ROOT / item for item in GRAPH[stage]["deps"] if item.startswith("pipelines/")]
    packages = {ROOT / "pipelines" / "__init__.py", ROOT / "pipelines" / "stages" / "__init__.py"}
    for file in closure([f"pipelines.stages.{stage}.__main__"], root=ROOT) - packages:
        assert any(folder in file.parents for folder in folders), f"{file} is not a dependency of {stage}"


def test_the_dependencies_in_dvc_yaml_are_the_generated_ones():
    command = [sys.executable, "scripts/stage_dependencies.py", "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("stage", GRAPH)
def test_only_entry_points_touch_the_store(stage):
    for file in sorted((ROOT / "pipelines" / "stages" / stage).rglob("*.py")):
        if file.name not in ("__main__.py", "commands.py"):
            assert "pipelines.runtime.store" not in imported(file, root=ROOT), file


def test_a_registered_model_ships_few_modules():
    files = closure(["pipelines.models.predictor"], root=ROOT)
    assert len(files) <= 15, sorted(str(file.relative_to(ROOT)) for file in files)


def test_no_modules_import_each_other():
    """Imports inside functions and those for type checkers only count as well."""
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (ROOT / "pipelines").rglob("*.py")
    }
    graph = {name: {item for item in imported(file, root=ROOT) if item in files} for name, file in files.items()}
    cycle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1]
    assert cycle == []
