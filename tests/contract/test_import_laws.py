"""The three laws of import: stages meet in files, core knows nobody, DAGs know nothing of stages."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
LIVE = [
    item.name
    for item in sorted((ROOT / "pipelines").iterdir())
    if item.is_dir() and item.name not in {*STAGES, "core", "domains", "__pycache__"}
]


def imported(file: Path) -> set[str]:
    """Absolute names that a module imports, relative ones resolved."""
    names: set[str] = set()
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = base + (node.module or "")
            names |= {module.rstrip(".")} | {f"{module.rstrip('.')}.{alias.name}" for alias in node.names}
    return names


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def parts_of(names: set[str]) -> set[str]:
    """Second parts of what is imported from `pipelines`."""
    return {name.split(".")[1] for name in names if name.startswith("pipelines.")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_core_and_itself_only(stage):
    for file in modules(f"pipelines/{stage}"):
        assert parts_of(imported(file)) <= {"core", stage}, file


@pytest.mark.parametrize("part", LIVE)
def test_a_live_part_imports_no_stage_and_no_domain(part):
    for file in modules(f"pipelines/{part}"):
        assert parts_of(imported(file)) <= {"core", *LIVE}, file


def test_core_imports_core_only():
    for file in modules("pipelines/core"):
        assert parts_of(imported(file)) <= {"core"}, file


@pytest.mark.parametrize("folder", ["pipelines/domains/complaints"])
def test_a_domain_imports_core_and_its_own_schema_only(folder):
    for file in modules(folder):
        mine = {name for name in imported(file) if name.startswith("pipelines.domains.")}
        own = folder.replace("/", ".")
        assert all(name == own or name.startswith(f"{own}.schema") for name in mine), (file, mine)
        assert parts_of(imported(file)) <= {"core", "domains"}, file


def test_dags_import_nothing_of_pipelines():
    for file in modules("dags"):
        names = imported(file)
        assert not {name for name in names if name.split(".")[0] in {"pipelines", "dvc", "pandas", "torch"}}, file


@pytest.mark.parametrize("stage", STAGES)
def test_only_entry_points_touch_the_store(stage):
    for file in modules(f"pipelines/{stage}"):
        if 'if __name__ == "__main__":' not in file.read_text(encoding="utf-8"):
            assert "pipelines.core.store" not in imported(file), file
