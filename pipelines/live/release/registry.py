"""The model registry through MLflow: versions, aliases and their artifacts."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from pipelines.live.release.connection import connect, shown, without_credentials
from pipelines.live.release.digests import MANIFEST, check_evidence, check_manifest, files_digest
from pipelines.live.release.history import Move, read_history, user_name
from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.places import sqlite_file
from pipelines.runtime.project import Project
from pipelines.runtime.signing import Key
from pipelines.runtime.state import locked, write_atomic
from pipelines.runtime.store import file_digest, to_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST_TAG, FILES_TAG, CANARY_TAG = "candidate_digest", "files_digest", "canary"
SIGNATURE_TAG, HEAD_TAG = "manifest_signature", "history_head"
EXPERIMENT = "perennial-releases"
PACKAGE = Path("artifacts") / "package"
# Where MLflow's database keeps absolute addresses of artifacts.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class Registry:
    """One registered model in an MLflow store, and the state root that its moves are recorded in."""

    def __init__(
        self, model_name: str, *, state: Path, tracking_uri: str, actor: str | None = None, key: Key | None = None
    ) -> None:
        """Connect to the store at `tracking_uri`; `actor` (default: the user of this process) is who moves aliases.

        With a `key` manifests and moves are signed, and what is not signed with it is refused.

        Raises PerennialError when the store does not answer within seconds.
        """
        self.model_name = model_name
        self.state = state
        self.uri = tracking_uri
        self.actor = actor or user_name()
        self.key = key
        self.artifacts = state / "artifacts"
        self.file = sqlite_file(tracking_uri)
        if self.file is not None:
            state.mkdir(parents=True, exist_ok=True)
        self.client: MlflowClient = connect(tracking_uri)

    @classmethod
    def open(cls, project: Project) -> Registry:
        """Connect to the registry of a project; `PERENNIAL_ACTOR` names who acts."""
        actor = project.environment.get("PERENNIAL_ACTOR")
        return cls(
            project.model_name,
            state=project.state,
            tracking_uri=project.tracking_uri,
            actor=actor,
            key=project.signing_key,
        )

    def history(self) -> list[Move]:
        """Return the moves of the champion alias, oldest first; StoreError when a line was tampered with."""
        return read_history(self.state, self.model_name, key=self.key)

    def alias(self, name: str) -> int | None:
        """Return the version that an alias points to, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self.client.get_model_version_by_alias(self.model_name, name).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            message = without_credentials(error.message, uri=self.uri)
            raise PerennialError(f"registry {shown(self.uri)} answers: {message}") from error

    def champion(self) -> int:
        """Return the champion's version; InputError states whether there never was one, or it was deleted."""
        version = self.alias(CHAMPION)
        if version is None:
            moves = self.history()
            if not moves:
                raise InputError(f"{self.model_name} has no champion yet: release one first (make demo)")
            raise InputError(
                f"the registry {shown(self.uri)} has no champion of {self.model_name}, but version {moves[-1]['to']} was made "
                f"champion at {moves[-1]['when']}: it was deleted, or MLFLOW_TRACKING_URI names another registry. Restore "
                "the registry from its backup, or release again (make release)"
            )
        self.require_recorded(version)
        return version

    def require_recorded(self, version: int) -> None:
        """Raise InputError when there is a key and the last signed line of the history names another champion."""
        if self.key is None:
            return
        moves = self.history()
        if not moves or moves[-1]["to"] != version:
            raise InputError(
                f"the alias {CHAMPION} of {self.model_name} points to version {version}, the last signed line of the history "
                f"to {moves[-1]['to'] if moves else 'none'}: refused. `python -m pipelines restore` points it back"
            )

    def move_alias(self, name: str, version: int) -> None:
        """Point an alias at a version."""
        self.client.set_registered_model_alias(self.model_name, name, str(version))

    def drop_alias(self, name: str) -> None:
        """Remove an alias, if it exists."""
        if self.alias(name) is not None:
            self.client.delete_registered_model_alias(self.model_name, name)

    def version_of(self, candidate_digest: str) -> int | None:
        """Return the version registered for a candidate, or None: the same candidate twice is one version."""
        found = [
            int(item.version)
            for item in self.client.search_model_versions(f"name = '{self.model_name}'")
            if item.tags.get(DIGEST_TAG) == candidate_digest
        ]
        return min(found, default=None)

    def register(
        self,
        model_folder: Path,
        *,
        candidate_digest: str,
        tags: dict[str, str],
        metrics: Mapping[str, float] | None = None,
    ) -> int:
        """Upload a saved model and register it; the version is created only after all of its files are stored.

        `metrics` are shown with the run that the version comes from. A version number is never given twice, even after
        the model was deleted: predictions, verdicts and the history of the first one still name it.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        run = self.client.create_run(self._experiment(), run_name=f"release-{candidate_digest[:12]}")
        self.client.log_artifacts(run.info.run_id, str(model_folder), "model")
        for name, value in (metrics or {}).items():
            self.client.log_metric(run.info.run_id, name, value)
        self.client.set_terminated(run.info.run_id)
        manifest = model_folder / PACKAGE / MANIFEST
        if self.key is not None and manifest.exists():
            tags = {**tags, SIGNATURE_TAG: self.signed_manifest(manifest)}
        tags = {**tags, DIGEST_TAG: candidate_digest, FILES_TAG: files_digest(model_folder)}
        file = self.state / "versions" / f"{self.model_name}.json"
        with locked(file):
            given = [int(move["to"]) for move in read_history(self.state, self.model_name)]
            given += [json.loads(file.read_bytes())["last"]] if file.exists() else []
            version = self._create(f"{run.info.artifact_uri}/model", run.info.run_id, tags)
            while version <= max(given, default=0):
                self.client.delete_model_version(self.model_name, str(version))
                version = self._create(f"{run.info.artifact_uri}/model", run.info.run_id, tags)
            write_atomic(file, to_json({"last": version}))
        return version

    def _create(self, source: str, run_id: str, tags: dict[str, str]) -> int:
        return int(self.client.create_model_version(self.model_name, source, run_id, tags=tags).version)

    def package(self, version: int) -> Path:
        """Return the local package folder of a version after checking every file against its manifest and the registry.

        Raises InputError, which names the first file that is missing, added or changed.
        """
        what = f"version {version} of {self.model_name}"
        model = self.model_folder(version)
        package = model / PACKAGE
        check_manifest(package, what=what)
        tags = self.client.get_model_version(self.model_name, str(version)).tags
        known = tags.get(FILES_TAG)
        if (found := files_digest(model)) != known:
            raise InputError(
                f"{what}: its files have digest {found[:12]}, the registry has {str(known)[:12]}: "
                f"{MANIFEST} or the code next to it was changed; refused"
            )
        self._check_recorded(package / MANIFEST, version=version, signature=tags.get(SIGNATURE_TAG), what=what)
        return package

    def _check_recorded(self, manifest: Path, *, version: int, signature: str | None, what: str) -> None:
        """Compare a manifest with the history, which names the digest it was released with, and with its signature."""
        found = check_evidence(manifest, what=what, version=version, moves=self.history())
        if self.key is not None and not self.key.accepts(MANIFEST, self._signed_text(found), signature):
            raise InputError(
                f"{what}: {MANIFEST} is {'unsigned' if signature is None else 'not signed'} by the key {self.key.file}; "
                "refused. `python -m pipelines sign` signs what was released before there was a key"
            )

    def sign_versions(self) -> list[int]:
        """Sign the manifests of the versions that aliases name, after checking their files; returns the versions."""
        versions = sorted({*self.aliases().values()})
        for version in versions:
            manifest = self.model_folder(version) / PACKAGE / MANIFEST
            what, moves = f"version {version} of {self.model_name}", read_history(self.state, self.model_name)
            check_manifest(manifest.parent, what=what)
            check_evidence(manifest, what=what, version=version, moves=moves)
            self.client.set_model_version_tag(
                self.model_name, str(version), SIGNATURE_TAG, self.signed_manifest(manifest)
            )
        return versions

    def signed_manifest(self, manifest: Path) -> str:
        """Return the signature of a version's manifest; InputError where the key can only check."""
        signature = self.key.sign(MANIFEST, self._signed_text(file_digest(manifest))) if self.key is not None else None
        if signature is None:
            raise InputError(
                f"a release is signed with the private key, and {self.key and self.key.file} is a public one"
            )
        return signature

    def _signed_text(self, digest: str) -> str:
        return f"{self.model_name} {digest}"

    def aliases(self) -> dict[str, int]:
        """Return every alias and its version, also of versions that do not exist any more."""
        from mlflow.exceptions import MlflowException

        try:
            return {name: int(to) for name, to in self.client.get_registered_model(self.model_name).aliases.items()}
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise PerennialError(
                f"registry {shown(self.uri)} answers: {without_credentials(error.message, uri=self.uri)}"
            ) from error

    def exists(self, version: int) -> bool:
        """Return whether the registry has a version."""
        return any(
            int(item.version) == version for item in self.client.search_model_versions(f"name = '{self.model_name}'")
        )

    def head(self) -> tuple[int, str] | None:
        """Return how many lines the history had at the last move and the hash of the last one; None when not noted."""
        from mlflow.exceptions import MlflowException

        try:
            noted = self.client.get_registered_model(self.model_name).tags.get(HEAD_TAG)
        except MlflowException:
            return None
        count, _, digest = (noted or "").partition(" ")
        return (int(count), digest) if count.isdigit() else None

    def note_head(self, moves: list[Move]) -> None:
        """Note in the registry how long the history is: lines that are removed from its end are missed then."""
        self.client.set_registered_model_tag(self.model_name, HEAD_TAG, f"{len(moves)} {moves[-1]['hash']}")

    def mark_stopped(self, version: int) -> None:
        """Remember that the canary of a version was stopped."""
        self.client.set_model_version_tag(self.model_name, str(version), CANARY_TAG, "stopped")

    def is_stopped(self, version: int) -> bool:
        """Return whether the canary of a version was stopped before."""
        return self.client.get_model_version(self.model_name, str(version)).tags.get(CANARY_TAG) == "stopped"

    def model_folder(self, version: int) -> Path:
        """Return the MLflow model folder of a version, downloaded when it is not on this machine."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            source = self.client.get_model_version(self.model_name, str(version)).source or ""
            if urlparse(source).scheme == "file":
                folder = self._local(Path(url2pathname(urlparse(source).path)))
            else:
                target = self.state / "downloads" / f"{self.model_name}-{version}"
                target.mkdir(parents=True, exist_ok=True)
                folder = Path(download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=self.uri))
        except (MlflowException, OSError) as error:
            raise InputError(f"version {version} of {self.model_name} cannot be fetched: {error}") from error
        if not folder.is_dir():
            raise InputError(
                f"version {version} of {self.model_name}: its artifacts are missing ({folder}; registered as {source}): "
                f"copy them there, or move the state root as a whole, with its folder {self.artifacts.name}/"
            )
        return folder

    @property
    def _is_own(self) -> bool:
        """Whether the store is that of the state root; another may be shared with other state roots."""
        return self.file is not None and self.file.resolve().parent == self.state.resolve()

    def _local(self, folder: Path) -> Path:
        """Return where the artifacts of a run are now: MLflow keeps the absolute path of the day they were written.

        In the state root's own store that is below its `artifacts/`, wherever the state root was moved or copied to.
        """
        *_, parent, run, kind, name = ("", "", "", "", *folder.parts)
        here = self.artifacts / run / kind / name
        return here if parent == self.artifacts.name and (self._is_own or here.is_dir()) else folder

    def relocate(self) -> None:
        """Change the addresses in the state root's own store to where the artifacts are, after a move or a copy.

        Readers find artifacts without it (`model_folder`); MLflow's pages, and what MLflow writes next, do not.
        """
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is None or not self._is_own:
            return
        old, new = found.artifact_location, self.artifacts.as_uri()
        if old == new or Path(urlparse(old).path).name != self.artifacts.name:  # or a place that someone chose
            return
        with contextlib.closing(sqlite3.connect(str(self.file))) as store, store:
            for table, column in ADDRESSES:
                store.execute(
                    f"update {table} set {column} = ? || substr({column}, ?) where substr({column} || '/', 1, ?) = ?",  # noqa: S608  constants
                    (new, len(old) + 1, len(old) + 1, f"{old}/"),
                )

    def _experiment(self) -> str:
        self.relocate()
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        if self.file is None:
            return str(self.client.create_experiment(EXPERIMENT))
        self.artifacts.mkdir(parents=True, exist_ok=True)
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=self.artifacts.as_uri()))
