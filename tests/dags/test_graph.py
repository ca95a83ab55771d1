"""One graph, two runners: the rendered DAG has DVC's own order; hooks, settings and staleness."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from light_repository import ROOT, TOOLS, LightRepository
from orchestration.graph import GraphError, add_stage_tasks, direct_upstream, read_graph, task_id, upstream_of
from orchestration.graph_check import ancestors, check_graph
from orchestration.project import Project
from orchestration.request import RequestError

# DVC's own graph, by another way than the exporter's: `dvc dag --dot` names each edge.
DOT = r'"(?P<upper>[^"]+)" -> "(?P<lower>[^"]+)"'
PROJECT = Project(root=Path("/r"), home=Path("/h"), origin="/o", tools=Path("/t"), dvc_remote="/d")
STAGES = [
    {"name": name, "cmd": "x", "deps": [], "outs": [], "git_outs": [], "upstream": upstream, "airflow": {}}
    for name, upstream in (("ingest", []), ("split@en", ["ingest"]), ("label", ["split@en", "ingest"]))
]


def dvc_edges(folder: Path) -> set[tuple[str, str]]:
    """Edges between stages as `dvc dag` shows them."""
    import re

    answer = subprocess.run([TOOLS / "dvc", "dag", "--dot"], cwd=folder, capture_output=True, text=True, check=True)
    edges = {(found["upper"], found["lower"]) for found in re.finditer(DOT, answer.stdout)}
    return {(upper, lower) for upper, lower in edges if not upper.endswith(".dvc")}


def rendered_edges(stages: list[dict]) -> set[tuple[str, str]]:
    """Edges between stage tasks of a DAG."""
    with DAG("d", schedule=None):
        tasks = add_stage_tasks(PROJECT, stages, gate=["gate"]).by_stage
    names = {made.task_id: name for name, made in tasks.items()}
    return {(name, names[below]) for name, made in tasks.items() for below in made.downstream_task_ids}


def order(edges: set[tuple[str, str]]) -> dict[str, set[str]]:
    """Everything that runs before each stage."""
    upstream: dict[str, set[str]] = {}
    for upper, lower in edges:
        upstream.setdefault(lower, set()).add(upper)
        upstream.setdefault(upper, set())
    return ancestors(upstream)


@pytest.mark.slow
@pytest.mark.parametrize("repository", ["real", "light"])
def test_the_dag_has_dvcs_order_and_no_edge_too_many(light: LightRepository, repository: str) -> None:
    folder = ROOT if repository == "real" else light.origin
    stages = read_graph(folder / "dags" / "graph.json")
    rendered, given = rendered_edges(stages), dvc_edges(folder)
    assert order(rendered) == order(given)
    assert rendered <= given
    for edge in rendered:
        assert order(rendered - {edge}) != order(given), f"{edge} follows from the others"


def test_retrain_is_one_line_with_two_parallel_training_stages() -> None:
    import runpy

    dag = runpy.run_path(str(ROOT / "dags" / "retrain.py"))["prepare"].dag
    line = ["prepare", "source", "ingest", "dedupe", "split", "label", "bias_gate", "baseline"]
    line += ["evaluate", "promote", "approve", "release", "record", "cleanup"]
    edges = set(itertools.pairwise(line))
    edges |= {("bias_gate", "finetune"), ("finetune", "evaluate")}
    edges |= {("prepare", "cleanup"), ("prepare", "outcome"), ("cleanup", "outcome")}  # a set-up and its teardowns
    assert {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids} == edges


def test_an_edge_that_follows_from_others_is_not_drawn() -> None:
    upstream = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "b"], "e": ["a", "c", "d"]}
    assert direct_upstream(upstream) == {"a": [], "b": ["a"], "c": ["b"], "d": ["b"], "e": ["c", "d"]}


@pytest.mark.slow
def test_the_real_graph_is_fresh_and_a_changed_one_is_stale(light: LightRepository) -> None:
    command = [TOOLS / "python", str(ROOT / "scripts" / "export_graph.py"), "--check", "--root"]
    fresh = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert fresh.returncode == 0, fresh.stderr
    params = light.origin / "params.yaml"
    params.write_text(params.read_text().replace("langs: [en, de]", "langs: [en, de, fr]"))
    stale = subprocess.run([*command, str(light.origin)], capture_output=True, text=True)
    assert stale.returncode == 1
    assert "make graph" in stale.stderr


@pytest.mark.slow
def test_parsing_is_quick_and_imports_no_pipeline_package() -> None:
    code = f"""
import sys, time, runpy
sys.path.insert(0, {str(ROOT / "dags")!r})
import airflow.sdk, airflow.providers.standard.operators.hitl
from pathlib import Path
for file in sorted(Path({str(ROOT / "dags")!r}).glob("*.py")):
    start = time.process_time()
    runpy.run_path(str(file))
    print(file.name, round(time.process_time() - start, 3))
bad = {{"dvc", "pandas", "torch", "numpy", "pipelines", "mlflow", "sklearn"}} & set(sys.modules)
assert not bad, bad
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    for line in answer.stdout.splitlines():
        if line.split()[0].endswith(".py"):
            assert float(line.split()[1]) < 2.0, answer.stdout


def test_the_description_is_the_first_sentence_below_the_title() -> None:
    from orchestration.graph import summary

    assert summary("# a\n\nMake\nit. Then more.\n\nRest.") == "Make it"
    assert summary("# a") == summary(None) == ""


def test_every_dag_file_is_short_and_has_a_page() -> None:
    import ast

    for file in sorted((ROOT / "dags").glob("*.py")):
        text = file.read_text()
        assert len(text.splitlines()) <= 80, f"{file.name} has {len(text.splitlines())} lines"
        assert ast.get_docstring(ast.parse(text)), f"{file.name} has no page"
        assert "doc_md=__doc__" in text, f"{file.name} does not show its page"


def test_the_pages_are_fresh(tmp_path: Path) -> None:
    from orchestration.pages import main, page

    assert (ROOT / "dags" / "README.md").read_text() == page(ROOT / "dags")
    (tmp_path / "a.py").write_text('"""# a\n\nDoes a.\n"""\n')
    assert main([str(tmp_path), "--check"]) == 1
    assert main([str(tmp_path)]) == 0
    assert "## [a](a.py)" in (tmp_path / "README.md").read_text()
    assert main([str(tmp_path), "--check"]) == 0


def test_the_package_imports_airflow_apprise_psutil_yaml_and_the_standard_library_and_knows_no_domain() -> None:
    import ast

    allowed = set(sys.stdlib_module_names) | {"airflow", "apprise", "psutil", "yaml", "orchestration"}
    folder = ROOT / "dags" / "orchestration"
    domain = [path.name for path in (ROOT / "pipelines" / "domains").iterdir() if path.is_dir() and path.name[0] != "_"]
    words = [*domain, *(name.rstrip("s") for name in domain), "perennial"]
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed, f"{file.name} imports {name}"
        found = [word for word in words if word in file.read_text().lower()]
        assert not found, f"{file.name} mentions {found}"


def test_dag_files_import_nothing_of_the_pipelines() -> None:
    for file in (ROOT / "dags").rglob("*.py"):
        text = file.read_text()
        assert "import pipelines" not in text, file
        assert "from pipelines" not in text, file


@pytest.mark.slow
def test_airflow_takes_the_dag_files_and_leaves_the_package_alone() -> None:
    code = f"""
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({str(ROOT / "dags")!r})
assert not bag.import_errors, bag.import_errors
print(sorted(bag.dags))
"""
    environment = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-2000:]
    expected = sorted(file.stem for file in (ROOT / "dags").glob("*.py"))
    assert answer.stdout.splitlines()[-1] == str(expected)


def test_hooks_are_where_they_are_asked_for() -> None:
    @task
    def wait_for_source() -> None: ...

    @task
    def notify() -> None: ...

    with DAG("d", schedule=None) as dag:
        tasks = add_stage_tasks(PROJECT, STAGES, before={"label": wait_for_source}, after={"label": [notify]})
    assert dag.task_dict["wait_for_source"].downstream_task_ids == {"label"}
    assert dag.task_dict["wait_for_source"].upstream_task_ids == {"split_en"}
    assert dag.task_dict["notify"].upstream_task_ids == {"label"}
    assert {made.task_id for made in tasks.hooks} == {"wait_for_source", "notify"}
    assert [made.task_id for made in tasks.last] == ["label"]
    assert [made.task_id for made in tasks.first] == ["ingest"]


def test_a_hook_before_the_first_stage_is_first() -> None:
    @task
    def wait_for_source() -> None: ...

    with DAG("d", schedule=None):
        tasks = add_stage_tasks(PROJECT, STAGES, before={"ingest": wait_for_source})
    assert {made.task_id for made in tasks.first} == {"wait_for_source"}


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_hook_of_an_unknown_stage_is_an_error_that_names_the_stages(side: str) -> None:
    with (
        DAG("d", schedule=None),
        pytest.raises(GraphError, match=f"{side}: unknown stage lable: expected one of ingest"),
    ):
        add_stage_tasks(PROJECT, STAGES, **{side: {"lable": lambda: None}})


def test_settings_travel_from_dvc_yaml_and_a_wrong_one_is_an_error() -> None:
    settings = {"pool": "gpu", "retries": 5, "timeout_minutes": 3, "retry_delay_seconds": 7, "queue": "q"}
    with DAG("d", schedule=None):
        made = add_stage_tasks(PROJECT, [STAGES[0] | {"airflow": settings}]).by_stage["ingest"]
    assert (made.pool, made.retries, made.queue) == ("gpu", 5, "q")
    assert made.execution_timeout.total_seconds() == 180
    assert made.retry_delay.total_seconds() == 7
    with DAG("d", schedule=None), pytest.raises(GraphError, match=r"unknown setting pol in meta\.airflow"):
        add_stage_tasks(PROJECT, [STAGES[0] | {"airflow": {"pol": "gpu"}}])


def test_a_verdict_needs_the_gate_command() -> None:
    with DAG("d", schedule=None), pytest.raises(GraphError, match="gate command"):
        add_stage_tasks(PROJECT, [STAGES[0] | {"airflow": {"verdict": "v.json"}}])


def test_two_stages_of_one_task_id_are_an_error() -> None:
    with DAG("d", schedule=None), pytest.raises(GraphError, match="same task id"):
        add_stage_tasks(PROJECT, [STAGES[0] | {"name": "a@b"}, STAGES[0] | {"name": "a_b"}])
    assert task_id("sub/dvc.yaml:train@en") == "sub_dvc.yaml_train_en"


def test_a_commit_that_this_dag_cannot_run_is_refused() -> None:
    rendered = upstream_of(STAGES)
    check_graph(
        {"ingest": [], "label": ["ingest"]}, rendered, commit="c"
    )  # a stage that is gone, an edge that is implied
    with pytest.raises(RequestError, match=r"does not have: fresh.*make graph"):
        check_graph({"ingest": [], "fresh": []}, rendered, commit="c")
    with pytest.raises(RequestError, match="runs ingest after label, and this DAG does not"):
        check_graph({"ingest": ["label"], "label": []}, rendered, commit="c")


def test_a_missing_graph_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="make graph"):
        read_graph(tmp_path / "graph.json")
    (tmp_path / "graph.json").write_text(json.dumps({"stages": []}))
    assert read_graph(tmp_path / "graph.json") == []
