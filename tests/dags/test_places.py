"""A project in a shallow clone, a worktree, a submodule or a folder of a larger repository; runs with equal ids."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flow import Flow
from light_repository import TOOLS, LightRepository, git
from orchestration.bundle import GitFolderBundle
from orchestration.clone import Clone
from orchestration.git import WorkspaceError
from orchestration.project import Project
from orchestration.workspace import Workspace, slug

RUN = "scheduled__2026-01-12T00:00:00+00:00"


@pytest.mark.slow
def test_paths_with_commas_and_marks_reach_dvc_whole(tmp_path: Path) -> None:
    for name in ("Büro, c# samples", "what? 50%", 'a "quoted" one', "it's"):
        home = tmp_path / name
        (home / ".dvc").mkdir(parents=True)
        for command in (["git", "init", "--quiet"], [str(TOOLS / "dvc"), "init", "--quiet", "--force"]):
            subprocess.run(command, cwd=home, check=True)
        project = Project(root=home, home=home, origin="o", tools=TOOLS, dvc_remote=str(home / "remote"))
        (home / ".dvc" / "config.local").write_text(project.dvc_settings(home), encoding="utf-8")
        for key, value in (("cache.dir", project.cache), ("remote.runs.url", project.dvc_remote)):
            found = subprocess.run([TOOLS / "dvc", "config", key], cwd=home, capture_output=True, text=True, check=True)
            assert found.stdout.strip() == str(value)


def test_two_dags_with_one_run_id_share_nothing(tmp_path: Path) -> None:
    project = Project(root=tmp_path, home=tmp_path, origin="o", tools=tmp_path, dvc_remote="r")
    one, other = (Workspace(project, RUN, dag_id=dag) for dag in ("retrain", "retrain_eu"))
    for name in ("slug", "path", "tasks", "branch"):
        assert getattr(one, name) != getattr(other, name)
    assert not other.mark("prepare").startswith(one.mark())
    assert slug("a/b", "c") != slug("b", "c/a"), "the border between the two ids counts"


def shallow_copy(origin: Path, folder: Path) -> Path:
    """A clone of depth 1."""
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{origin}", str(folder)], check=True)
    return folder


def next_commit(origin: Path) -> str:
    """A new commit at an origin."""
    git(origin, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "--message=next")
    return git(origin, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository of two commits with a folder of DAGs."""
    origin = tmp_path / "upstream"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
    (origin / "dags").mkdir()
    (origin / "dags" / "a.py").write_text("")
    git(origin, "add", "dags")
    next_commit(origin)
    next_commit(origin)
    return origin


def bundle_of(origin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **more: str) -> GitFolderBundle:
    """A bundle that is initialized."""
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    made = GitFolderBundle(name="dags", origin=str(origin), **more)
    made.initialize()
    return made


def test_a_bundle_and_the_clone_of_runs_follow_a_shallow_origin(
    upstream: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = shallow_copy(upstream, tmp_path / "server")
    bundle = bundle_of(server, monkeypatch, tmp_path)
    project = Project(root=server, home=tmp_path / "home", origin=str(server), tools=tmp_path, dvc_remote="r")
    clone = Clone(project)
    clone.update()
    for _ in range(2):
        commit = git(server, "rev-parse", "HEAD")
        assert bundle.get_current_version().version == commit and (bundle.path / "a.py").is_file()
        assert clone.commit_of("HEAD") == clone.commit_of("main") == commit
        newest = next_commit(upstream)
        git(server, "fetch", "--quiet", "--depth=1")
        git(server, "reset", "--quiet", "--hard", "FETCH_HEAD")
        assert git(server, "rev-parse", "HEAD") == newest
        bundle.refresh()
        clone.update()


def test_a_fetch_that_changed_nothing_is_no_success(
    upstream: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from orchestration import clone as module

    project = Project(root=upstream, home=tmp_path / "home", origin=str(upstream), tools=tmp_path, dvc_remote="r")
    clone = Clone(project)
    clone.update()
    next_commit(upstream)
    real = module.git
    monkeypatch.setattr(
        module, "git", lambda *words, **more: "" if "fetch" in words else real(*words, **more)
    )  # exit status 0, and no effect
    with pytest.raises(WorkspaceError, match="refs/heads/main"):
        clone.update()


def test_a_bundle_of_an_empty_repository_or_without_the_folder_names_what_is_missing(
    upstream: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(WorkspaceError, match="no folder elsewhere"):
        bundle_of(upstream, monkeypatch, tmp_path, subdir="elsewhere")
    git(tmp_path, "init", "--quiet", str(tmp_path / "empty"))
    with pytest.raises(WorkspaceError, match="commit the project first"):
        bundle_of(tmp_path / "empty", monkeypatch, tmp_path)


def worktree(light: LightRepository, folder: Path) -> Path:
    """The project in a worktree of a bare repository."""
    git(folder, "clone", "--quiet", "--bare", str(light.origin), str(folder / "bare.git"))
    git(folder / "bare.git", "worktree", "add", "--quiet", "-b", "work", str(folder / "tree"))
    return folder / "tree"


def submodule(light: LightRepository, folder: Path) -> Path:
    """The project as a submodule."""
    git(folder, "init", "--quiet", "--initial-branch=main", str(folder / "outer"))
    add = ["submodule", "--quiet", "add", str(light.origin), "inner"]
    git(folder / "outer", "-c", "protocol.file.allow=always", *add)
    return folder / "outer" / "inner"


def subfolder(light: LightRepository, folder: Path) -> Path:
    """The project in a folder of a larger repository, with a hostile name."""
    top, name = folder / "mono repo", "ML & Büro, c#/50% done"
    git(folder, "init", "--quiet", "--initial-branch=main", str(top))
    for key, value in (("user.name", "tester"), ("user.email", "tester@localhost")):
        git(top, "config", key, value)
    (top / name).mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(light.origin), "archive", "HEAD"], capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(top / name)], input=archive.stdout, check=True)
    git(top, "add", "--all", "--force")
    git(top, "commit", "--quiet", "--message", "a project among others")
    return top / name


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "layout", [worktree, submodule, subfolder, lambda light, folder: shallow_copy(light.origin, folder / "shallow")],
    ids=["worktree", "submodule", "subfolder", "shallow"],
)  # fmt: skip
def test_a_run_is_made_and_recorded_in_every_layout(
    light, project, tmp_path: Path, layout: Callable[[LightRepository, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "layout"
    folder.mkdir()
    root = layout(light, folder)
    monkeypatch.setenv("LIGHT_ROOT", str(root))
    here = Project.from_environment("LIGHT", root=root)
    here = replace(here, tools=project.tools)
    flow = Flow(here, "placed", {"overrides": {"ingest.rows": 12}})
    assert flow.do(flow.prepare)["workspace"].endswith(Path(here.folder).name if here.folder != "." else "")
    flow.do(flow.stages["ingest"])
    assert flow.do(flow.stages["gate"])["outcome"] == "changed"
    tag = flow.do(flow.record)["tag"]
    assert '"passed": true' in git(root, "show", f"{tag}:./data/gate/verdict.json")
    assert "rows: 12" in git(root, "show", f"{tag}:./params.yaml")
    flow.do(flow.cleanup)
    assert not list((here.runs / "work").iterdir())
    again = Flow(here, "placed", {"overrides": {"ingest.rows": 12}})
    again.do(again.prepare)
    assert again.do(again.stages["gate"])["outcome"] == "unchanged"
