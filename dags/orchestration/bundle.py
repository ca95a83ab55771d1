"""A DAG bundle of a git repository's commits, so that a run keeps the DAG files of the commit it started with."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

from .git import WorkspaceError, git, refs_of, run
from .process import write_atomic


class GitFolderBundle(BaseDagBundle):
    """DAG files in a folder of a git repository, as committed: each commit is a version with its own folder.

    Used instead of the bundle of Airflow's git provider because it needs no package but git, unpacks nothing but the
    DAG folder, and gives the files a time at which the DAG processor reads them at once.
    """

    supports_versioning = True

    def __init__(self, *, origin: str, subdir: str = "dags", ref: str = "HEAD", **rest: Any) -> None:
        super().__init__(**rest)
        self.origin = origin
        self.subdir = subdir
        self.ref = ref
        self._mirror = self.base_dir / "mirror.git"

    def initialize(self) -> None:
        """Unpack the requested version, or find the newest."""
        with self.lock():
            if not (self._mirror / "HEAD").is_file():
                self.base_dir.mkdir(parents=True, exist_ok=True)
                git(self.base_dir, "init", "--quiet", "--bare", str(self._mirror))
            if self.version:
                self._unpack(self.version)
            else:
                self._refresh()
        super().initialize()

    def refresh(self) -> None:
        """Fetch, and unpack the newest version."""
        with self.lock():
            self._refresh()

    def _refresh(self) -> None:
        reported = refs_of(self._mirror, self.origin)
        names = (self.ref, f"refs/heads/{self.ref}", f"refs/tags/{self.ref}")
        commit = next((reported[name] for name in names if name in reported), None)
        if commit is None:
            raise WorkspaceError(f"{self.origin} has no commit under the name {self.ref}: commit the project first")
        if not self._has(commit):
            fetch = ["fetch", "--quiet", "--no-tags", "--update-shallow", self.origin]
            git(self._mirror, *fetch, f"+{self.ref}:refs/heads/deployed")
            if not self._has(commit):
                raise WorkspaceError(
                    f"a fetch from {self.origin} did not bring its commit {commit}; trying again later"
                )
        self._unpack(commit)
        write_atomic(self.base_dir / "newest", commit)

    def _has(self, commit: str) -> bool:
        return bool(git(self._mirror, "cat-file", "-t", commit, check=False))

    def _unpack(self, commit: str) -> None:
        """Write a commit's files into its version folder; the folder appears complete or not at all."""
        target = self.versions_dir / commit
        if target.is_dir():
            return
        if not self._has(commit):
            refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
            git(self._mirror, "fetch", "--quiet", "--update-shallow", self.origin, *refs)
        answer = run(self._mirror, "archive", "--format=tar", commit, "--", self.subdir)
        if answer.returncode:
            raise WorkspaceError(f"{self.origin} has no folder {self.subdir} in commit {commit[:12]}")
        partial = target.with_name(f"{commit}.partial")
        with tarfile.open(fileobj=io.BytesIO(answer.stdout)) as archive:
            archive.extractall(partial, filter="data")
        # Files have the time of their commit, and the DAG processor reads only what is younger than its last scan.
        for file in partial.rglob("*"):
            os.utime(file)
        partial.rename(target)

    def get_current_version(self) -> BundleVersion:
        """Return the commit of these files."""
        return BundleVersion(version=self.version or (self.base_dir / "newest").read_text().strip())

    @property
    def path(self) -> Path:
        """Folder of the DAG files of this version."""
        commit = self.version
        if not commit:
            pointer = self.base_dir / "newest"
            commit = pointer.read_text().strip() if pointer.is_file() else "none"
        folder: Path = self.versions_dir / commit / self.subdir
        return folder

    def view_url(self, version: str | None = None) -> str | None:
        """A local repository has no page."""
        return None
