"""One git worktree for each run, on its own branch of a managed clone; all of them share one DVC cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from . import lockfile
from .clone import Clone, WorkspaceError, git
from .process import locked, marked, write_whole
from .project import Project

logger = logging.getLogger(__name__)

PREPARED = "Run-Prepared"  # trailer of the commit that ends `prepare`; what stands before it is only done once
GRAPH_FORMAT = 2  # of what `scripts/export_graph.py` writes; a run that began before a change of it gets a new one


def slug(run_id: str) -> str:
    """A name for files, branches and tags: readable, and unique because it ends in a digest of the whole run id."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:60].strip("-") or "run"
    return f"{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


class Workspace:
    """The working copy of one run, and what is known about that run; `actor` is who started it."""

    def __init__(self, project: Project, run_id: str, *, actor: str | None = None) -> None:
        self.project = project
        self.actor = actor
        self.clone = Clone(project)
        self.run_id = run_id
        self.slug = slug(run_id)
        self.path = project.runs / "work" / self.slug
        self.tasks = project.runs / "tasks" / self.slug
        self.branch = f"runs/{self.slug}"

    def mark(self, name: str = "") -> str:
        """Mark of a task's processes, or the beginning of the marks of all tasks of this run."""
        return f"{self.project.home}#{self.slug}/{name}"

    def environment(self) -> dict[str, str]:
        """Variables of a command here; DVC's state database is this workspace's own and goes with it."""
        name = self.project.actor_variable
        who = {name: self.actor} if name and self.actor else {}
        return self.project.environment(DVC_SITE_CACHE_DIR=str(self.path / ".dvc" / "tmp" / "site"), **who)

    @property
    def dvc(self) -> str:
        """The `dvc` of the pipeline environment."""
        return str(self.project.tools / "dvc")

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Hold this workspace's git: one commit at a time."""
        with locked(self.project.runs / "work" / f"{self.slug}.lock") as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def dvc_locked(self) -> Iterator[None]:
        """Hold DVC's own repository lock: it writes its lock files in place, so nobody reads one without it."""
        with locked(self.path / ".dvc" / "tmp" / "lock"):
            yield

    @property
    def exists(self) -> bool:
        """True when the worktree is there, whole, and git knows it."""
        mark = self._whole()
        return (
            mark is not None
            and mark.is_file()
            and bool(git(self.path, "rev-parse", "--verify", "--quiet", "HEAD", check=False))
        )

    def _whole(self) -> Path | None:
        """The file that says that the worktree was once made to its end; git's own folder of the worktree holds it."""
        try:
            said = (self.path / ".git").read_text(encoding="utf-8")
        except OSError:
            return None
        return Path(said.removeprefix("gitdir: ").strip()) / "whole"

    def known(self) -> bool:
        """True when the run has a branch, here or at the origin: it was prepared before, at least in part."""
        return any(self._ref(name) for name in (f"refs/heads/{self.branch}", f"refs/remotes/origin/{self.branch}"))

    def _ref(self, name: str) -> str:
        if not (self.clone.path / ".git").exists():
            return ""
        return git(self.clone.path, "rev-parse", "--verify", "--quiet", name, check=False)

    def restore(self, *, base: str | None = None) -> bool:
        """Bring the worktree back at its run's last commit, or make it at `base`; True when it was not there."""
        if self.exists:
            return False
        with locked(self.project.runs / "work" / f"{self.slug}.making.lock") as making:
            if self.exists:  # another task of this run was first
                return True
            with self.clone.locked() as held:
                self._add_worktree(base, keep=[held])
            self.configure()
            self.export_graph(checkout=True, keep=[making])
            if self.prepared() is not None:
                self.ignore_outputs()
            mark = self._whole()
            assert mark is not None
            mark.write_text("")
        return True

    def _add_worktree(self, base: str | None, *, keep: Sequence[int]) -> None:
        if base is None or not (self.clone.path / ".git" / "HEAD").is_file():
            self.clone.update(keep=keep)
        # What a killed try made in part: git itself would refuse to go on from it.
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.clone.path / ".git" / "worktrees" / self.slug, ignore_errors=True)
        git(self.clone.path, "worktree", "prune", keep=keep)
        with self.locked():
            self._branch_lock.unlink(missing_ok=True)
        if not self._ref(f"refs/heads/{self.branch}"):
            start = self._ref(f"refs/remotes/origin/{self.branch}") or base
            if not start:
                raise WorkspaceError(f"run {self.run_id} has no workspace and no branch {self.branch}: clear `prepare`")
            git(self.clone.path, "branch", "--no-track", self.branch, start, keep=keep)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        git(self.clone.path, "worktree", "add", "--quiet", "--force", str(self.path), self.branch, keep=keep)

    @property
    def _branch_lock(self) -> Path:
        return self.clone.path / ".git" / "refs" / "heads" / f"{self.branch}.lock"

    def configure(self) -> None:
        """Point DVC at the shared cache; without `.dvc` this is no DVC repository and the run cannot start."""
        if not (self.path / ".dvc").is_dir():
            raise WorkspaceError(f"{self.project.origin} at {self.head[:12]} holds no .dvc folder: nothing to run")
        write_whole(self.path / ".dvc" / "config.local", self.project.dvc_settings(self.path))

    def ignore_outputs(self) -> None:
        """Let git ignore every cached output, in the order in which one `dvc repro` would have written it down.

        DVC appends to `.gitignore` when a stage first runs, and tasks end in any order; a stage that depends on the
        folder would then have another digest in each run.
        """
        cached = [out for stage in self.graph()["stages"] for out in stage["outs"] if out not in stage["git_outs"]]
        for out in cached:
            if "://" in out or out.startswith("..") or git(self.path, "check-ignore", "--", out, check=False):
                continue
            file = (self.path / out).parent / ".gitignore"
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            separator = "" if not text or text.endswith("\n") else "\n"
            file.write_text(f"{text}{separator}/{Path(out).name}\n", encoding="utf-8")

    def checkout(self) -> None:
        """Fetch back what the cache holds of the outputs that the lock file names."""
        arguments = ["checkout", "--quiet", "--allow-missing", "--force"]
        self.run([self.dvc, "--cd", str(self.path), "--wait-for-lock", *arguments])

    def lacks_inputs(self, stage: str) -> list[str]:
        """Outputs of the stages before this one that are not on disk."""
        outs = {out for above in self.stages[stage]["upstream"] for out in self.stages[above]["outs"]}
        return sorted(out for out in outs if not (self.path / out).exists())

    def fetch_inputs(self, stage: str) -> None:
        """Have every output that the stage reads on disk, from the remote where the cache has lost it.

        DVC's own `--pull` looks at whole dependencies: a folder of which a part is missing would count as there.
        """
        described = self.stages[stage]
        targets = [*described["upstream"], *(f"{dep}.dvc" for dep in described["deps"])]
        targets = [name for name in targets if name in self.stages or (self.path / name).is_file()]
        if targets:
            self.run([self.dvc, "--cd", str(self.path), "--wait-for-lock", "pull", "--quiet", "--force", *targets])
        if missing := self.lacks_inputs(stage):
            raise WorkspaceError(f"{stage} reads {', '.join(missing)}, which neither the cache nor the remote holds")

    def run(self, arguments: Sequence[str], *, keep: Sequence[int] = ()) -> str:
        """Run a short command here and return its stdout; WorkspaceError with its last lines when it fails."""
        answer = subprocess.run(
            list(arguments),
            cwd=self.path,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=tuple(keep),
        )
        if answer.returncode:
            last = "\n".join((answer.stderr.strip() or answer.stdout.strip()).splitlines()[-8:])
            raise WorkspaceError(f"{' '.join(map(str, arguments))}: exit status {answer.returncode}\n{last}")
        return answer.stdout

    @property
    def head(self) -> str:
        """The commit that the workspace stands at."""
        return git(self.path, "rev-parse", "HEAD")

    def prepared(self) -> dict[str, Any] | None:
        """What `prepare` wrote down in its last commit, or None when it has not come to its end."""
        found = git(self.path, "log", "-1", f"--grep=^{PREPARED}: {self.slug}$", "--format=%b", check=False)
        for line in found.splitlines():
            if line.startswith("Run-Request: "):
                with contextlib.suppress(ValueError):
                    return dict(json.loads(line.removeprefix("Run-Request: ")))
        return None

    def commit(self, message: str, paths: Sequence[str], *, empty: bool = False) -> str:
        """Commit the named files and nothing else; returns the head.

        Never everything: a parallel stage's half-written output would enter git, and DVC would then refuse that stage.
        """
        with self.locked() as held, self.dvc_locked():
            self._unlock()
            named = [path for path in dict.fromkeys(paths) if (self.path / path).exists() or self._tracked(path)]
            if named:
                git(self.path, "add", "--force", "--all", "--", *named, keep=[held])
            changed = git(self.path, "diff", "--cached", "--name-only", keep=[held])
            if changed or empty:
                extra = ["--allow-empty"] if empty else []
                git(self.path, "commit", "--quiet", *extra, "--message", message, keep=[held])
            return self.head

    def _tracked(self, path: str) -> bool:
        return bool(git(self.path, "ls-files", "--", path))

    def _unlock(self) -> None:
        """Remove lock files that a killed git left: nobody else commits here while this lock is held."""
        folder = Path(git(self.path, "rev-parse", "--path-format=absolute", "--git-dir"))
        for left in (folder / "index.lock", folder / "HEAD.lock", self._branch_lock):
            if left.exists():
                logger.warning("%s was left by a killed git: removed", left)
                left.unlink(missing_ok=True)

    def graph(self) -> dict[str, Any]:
        """The stage graph of this run's own commit, as `prepare` kept it."""
        with contextlib.suppress(OSError, ValueError):
            found = dict(json.loads((self.tasks / "graph.json").read_text(encoding="utf-8")))
            if found.get("format") == GRAPH_FORMAT:
                return found
        return self.export_graph()

    def export_graph(self, *, checkout: bool = False, keep: Sequence[int] = ()) -> dict[str, Any]:
        """Let DVC resolve the graph of this workspace (its own dvc.yaml and parameters) and keep it for the run.

        With `checkout`, what the cache holds of the outputs is fetched back first.
        """
        arguments = [str(self.project.tools / "python"), str(self.project.root / "scripts" / "export_graph.py")]
        arguments += ["--stdout", "--root", str(self.path), *(["--checkout"] if checkout else [])]
        text = self.run(arguments, keep=keep)
        write_whole(self.tasks / "graph.json", text)
        return dict(json.loads(text))

    @cached_property
    def stages(self) -> dict[str, dict[str, Any]]:
        """Stages of this run by name."""
        return {stage["name"]: stage for stage in self.graph()["stages"]}

    def mend(self, *, stage: str) -> None:
        """Put right what a killed try of a stage may have left: DVC's lock of paths, a lock file cut short."""
        lockfile.mend_rwlock(self.path)
        lockfile.mend_run_cache(self.project.cache)
        name = lockfile.address(stage)[0]
        path = self.path / name
        committed = git(self.path, "show", f"HEAD:{name}", check=False)
        if not path.exists() and not committed:
            return
        outs: dict[str, set[str]] = {}
        folder = Path(name).parent
        for address, found in self.stages.items():
            file, short = lockfile.address(address)
            if file == name and str(folder) == ".":
                outs[short] = set(found["outs"])
        with self.locked(), self.dvc_locked():
            text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            said = lockfile.damage(text, committed=lockfile.parse(committed) if committed else {}, outs=outs)
            if said is not None:
                logger.warning("%s %s after a crash: taken back from the last commit", name, said)
                write_whole(path, committed + "\n") if committed else path.unlink(missing_ok=True)

    def changes_since(self, base: str) -> list[str]:
        """Files that the run's commits changed."""
        return git(self.path, "diff", "--name-only", base, "HEAD").splitlines()

    def recorded(self) -> bool:
        """True when the origin holds every commit of this run, as far as this clone knows."""
        pushed = self._ref(f"refs/remotes/origin/{self.branch}")
        return bool(pushed) and pushed == self._ref(f"refs/heads/{self.branch}")

    def remove(self, *, forget: bool) -> None:
        """Take the worktree away; `forget` drops the local branch too, when the origin has it or nothing is lost."""
        if still := marked(self.mark(), prefix=True):
            raise WorkspaceError(f"run {self.run_id} still has processes {still}: its workspace stays")
        with self.clone.locked() as held:
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.rmtree(self.tasks, ignore_errors=True)
            git(self.clone.path, "worktree", "prune", keep=[held])
            if forget:
                git(self.clone.path, "branch", "--quiet", "-D", self.branch, check=False, keep=[held])
            for name in (f"{self.slug}.lock", f"{self.slug}.making.lock"):
                (self.project.runs / "work" / name).unlink(missing_ok=True)


def describe(request: Mapping[str, Any]) -> str:
    """One line of JSON for a commit message."""
    return json.dumps(request, sort_keys=True, default=str, ensure_ascii=True)
