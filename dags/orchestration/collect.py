"""Collect garbage: expired workspaces, branches and tags of old runs, data that nothing refers to any more.

    python -m orchestration.collect --root CHECKOUT --prefix PREFIX [--keep-days N] [--dry-run]

What a present or past champion needs is kept: tags below `released/` are never removed, and DVC keeps what any
remaining branch or tag, any workspace and any named checkout refers to.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from .clone import Clone
from .constants import RELEASED
from .git import WorkspaceError, git
from .process import locked
from .project import Project
from .shell import Shell
from .workspace import Workspace


def guard(project: Project) -> Path:
    """Return the lock file that commands share and a collection holds alone."""
    return project.runs / "collect.lock"


def expired(project: Project, *, days: float, keep: str = "") -> list[str]:
    """Return the names of workspaces that nothing has touched for that many days, except `keep`."""
    folder = project.runs / "work"
    limit = time.time() - days * 86400
    if not folder.is_dir():
        return []
    folders = [path for path in folder.iterdir() if path.is_dir() and path.name != keep]
    return sorted(path.name for path in folders if _touched(project, path) < limit)


def _touched(project: Project, tree: Path) -> float:
    times, path = [tree.stat().st_mtime], tree / project.folder
    for inner in (path / "dvc.lock", path / ".dvc" / "tmp", project.runs / "tasks" / tree.name):
        with contextlib.suppress(OSError):
            times.append(inner.stat().st_mtime)
    return max(times)


def remove_expired(project: Project, name: str) -> None:
    """Remove one workspace; its local branch is kept, so that a cleared task restores it."""
    workspace = Workspace.named(project, name)
    workspace.remove(forget=workspace.tree.pushed())


def old_runs(project: Project, *, days: float) -> list[str]:
    """Return the refs of runs at the origin that are older than that and were never released."""
    clone = Clone(project).path
    pattern = ["refs/remotes/origin/runs/", "refs/tags/runs/"]
    listing = git(clone, "for-each-ref", "--format=%(refname) %(objectname) %(committerdate:unix)", *pattern)
    kept = set(git(clone, "for-each-ref", "--format=%(objectname)", f"refs/tags/{RELEASED}").split())
    limit = time.time() - days * 86400
    found = []
    for line in listing.splitlines():
        ref, commit, date = line.split()
        if commit not in kept and float(date) < limit:
            found.append(ref.replace("refs/remotes/origin/", "refs/heads/"))
    return sorted(found)


@contextlib.contextmanager
def _everything(project: Project) -> Iterator[Path]:
    """Yield a temporary clone in which every branch and tag of the origin and of the managed clone is a local ref."""
    with tempfile.TemporaryDirectory(dir=project.runs, prefix="collect-") as folder:
        path = Path(folder) / "all"
        git(project.runs, "clone", "--quiet", "--", project.origin, str(path))
        git(path, "checkout", "--quiet", "--detach")
        refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        git(path, "fetch", "--quiet", "--force", project.origin, *refs)
        git(path, "fetch", "--quiet", "--force", str(Clone(project).path), "+refs/heads/*:refs/heads/local/*")
        path /= project.folder
        (path / ".dvc" / "config.local").write_text(project.dvc_settings(path), encoding="utf-8")
        yield path


def collect(project: Project, *, keep_days: float, dry_run: bool, checkouts: Sequence[Path]) -> list[str]:
    """Do one collection while no command runs; return what was (or would be) removed, one line per item."""
    done = []
    with locked(guard(project)):
        for name in expired(project, days=keep_days):
            done.append(f"workspace {name}")
            if not dry_run:
                remove_expired(project, name)
        clone = Clone(project)
        with clone.locked() as held:
            clone.update(keep=[held])
            refs = old_runs(project, days=keep_days)
            done += refs
            if refs and not dry_run:
                clone.push(clone.path, *(f":{ref}" for ref in refs), keep=[held])
                for ref in refs:
                    git(clone.path, "update-ref", "-d", ref, check=False, keep=[held])
                clone.update(keep=[held])
            if not dry_run:
                git(clone.path, "gc", "--quiet", "--prune=2.days.ago", keep=[held])
        done.append(_collect_data(project, dry_run=dry_run, checkouts=checkouts))
    return done


def _collect_data(project: Project, *, dry_run: bool, checkouts: Sequence[Path]) -> str:
    """Let DVC remove from cache and remote what no branch, tag, workspace or checkout refers to."""
    work = project.runs / "work"
    trees = [tree / project.folder for tree in work.iterdir()] if work.is_dir() else []
    others = [path for path in (*trees, *checkouts) if (path / ".dvc").is_dir()]
    with _everything(project) as path:
        arguments = [str(project.tools / "dvc"), "--cd", str(path), "gc", "--force", "--cloud"]
        arguments += ["--workspace", "--all-branches", "--all-tags", *(["--dry"] if dry_run else [])]
        for other in others:
            arguments += ["--projects", str(other)]
        output = Shell(project, path).run(arguments)
    if not dry_run:
        _collect_run_cache(project.cache)
    return "data: " + " ".join(output.split())


def _collect_run_cache(cache: Path) -> None:
    """Remove run-cache entries whose outputs are gone: DVC would find the entry and then miss the data."""
    for entry in [path for path in (cache / "runs").rglob("*") if path.is_file()]:
        try:
            outs = yaml.safe_load(entry.read_text(encoding="utf-8")).get("outs", [])
            digests = [str(out["md5"]) for out in outs if out.get("cache", True) and "md5" in out]
        except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
            digests = ["unreadable"]
        if not all((cache / "files" / "md5" / digest[:2] / digest[2:]).exists() for digest in digests):
            entry.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # DVC fails on an empty folder
                entry.parent.rmdir()


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect from the command line."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.collect", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="checkout whose uncommitted data is kept too")
    parser.add_argument("--prefix", required=True, help="prefix of the environment variables that describe the project")
    parser.add_argument(
        "--keep-days", type=float, default=90, help="remove unreleased runs older than this (default: 90)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    given = parser.parse_args(arguments)
    project = Project.from_environment(given.prefix, root=given.root)
    try:
        done = collect(project, keep_days=given.keep_days, dry_run=given.dry_run, checkouts=[project.root])
    except WorkspaceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("\n".join(done) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
