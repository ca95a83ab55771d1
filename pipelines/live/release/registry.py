"""The model registry through MLflow: versions, aliases and their artifacts."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from pipelines.runtime.errors import InputError, PerennialError
from pipelines.runtime.state import home, tracking_uri
from pipelines.runtime.store import file_digest

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
DIGEST_TAG, FILES_TAG, CANARY_TAG = "candidate_digest", "files_digest", "canary"
EXPERIMENT = "perennial-releases"
MANIFEST = "manifest.json"


class Registry:
    """One registered model in the MLflow store of `MLFLOW_TRACKING_URI`, or in the state root."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.uri = tracking_uri()
        self.client: MlflowClient = connect(self.uri)

    def alias(self, name: str) -> int | None:
        """Version that an alias points to, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self.client.get_model_version_by_alias(self.model_name, name).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            said = without_credentials(error.message, uri=self.uri)
            raise PerennialError(f"registry {_shown(self.uri)} answers: {said}") from error

    def move_alias(self, name: str, version: int) -> None:
        """Point an alias at a version."""
        self.client.set_registered_model_alias(self.model_name, name, str(version))

    def drop_alias(self, name: str) -> None:
        """Remove an alias; nothing happens when there is none."""
        if self.alias(name) is not None:
            self.client.delete_registered_model_alias(self.model_name, name)

    def version_of(self, candidate_digest: str) -> int | None:
        """The version registered for this candidate, or None: the same candidate twice is one version."""
        found = [
            int(item.version)
            for item in self.client.search_model_versions(f"name = '{self.model_name}'")
            if item.tags.get(DIGEST_TAG) == candidate_digest
        ]
        return min(found, default=None)

    def register(self, model_folder: Path, *, candidate_digest: str, tags: dict[str, str]) -> int:
        """Upload a saved model and register it; a version is only made once all of its files are there."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        run = self.client.create_run(self._experiment(), run_name=f"release-{candidate_digest[:12]}")
        self.client.log_artifacts(run.info.run_id, str(model_folder), "model")
        self.client.set_terminated(run.info.run_id)
        version = self.client.create_model_version(
            self.model_name,
            f"{run.info.artifact_uri}/model",
            run.info.run_id,
            tags={**tags, DIGEST_TAG: candidate_digest, FILES_TAG: files_digest(model_folder)},
        )
        return int(version.version)

    def package(self, version: int) -> Path:
        """The version's package folder, local, every file checked: by its manifest, and all by the registry's tag."""
        what = f"version {version} of {self.model_name}"
        model = self.model_folder(version)
        package = model / "artifacts" / "package"
        check_manifest(package, what=what)
        known = self.client.get_model_version(self.model_name, str(version)).tags.get(FILES_TAG)
        if (found := files_digest(model)) != known:
            raise InputError(
                f"{what}: its files have digest {found[:12]}, the registry says {str(known)[:12]}: "
                f"{MANIFEST} or the code beside it was changed; refused"
            )
        return package

    def mark_stopped(self, version: int) -> None:
        """Remember that the canary of a version was stopped."""
        self.client.set_model_version_tag(self.model_name, str(version), CANARY_TAG, "stopped")

    def is_stopped(self, version: int) -> bool:
        """Whether the canary of a version was stopped before."""
        return self.client.get_model_version(self.model_name, str(version)).tags.get(CANARY_TAG) == "stopped"

    def model_folder(self, version: int) -> Path:
        """The version's MLflow model folder, downloaded when it is not on this machine."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            source = self.client.get_model_version(self.model_name, str(version)).source or ""
            parsed = urlparse(source)
            if parsed.scheme == "file":
                folder = Path(url2pathname(parsed.path))
            else:
                target = home() / "downloads" / f"{self.model_name}-{version}"
                target.mkdir(parents=True, exist_ok=True)
                folder = Path(download_artifacts(artifact_uri=source, dst_path=str(target), tracking_uri=self.uri))
        except (MlflowException, OSError) as error:
            raise InputError(f"version {version} of {self.model_name} cannot be fetched: {error}") from error
        if not folder.is_dir():
            raise InputError(f"version {version} of {self.model_name}: its artifacts are missing ({folder})")
        return folder

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        if self.uri.startswith("sqlite:"):
            folder = home() / "artifacts"
            folder.mkdir(parents=True, exist_ok=True)
            return str(self.client.create_experiment(EXPERIMENT, artifact_location=folder.as_uri()))
        return str(self.client.create_experiment(EXPERIMENT))


def connect(uri: str) -> MlflowClient:
    """An MLflow client that answers within seconds or says which registry does not."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    warnings.filterwarnings("ignore", module="mlflow")
    for name in ("mlflow", "mlflow.store.db.utils", "mlflow.utils.environment", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import mlflow
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        mlflow.set_tracking_uri(uri)
        client = MlflowClient(uri)
        client.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        said = without_credentials(str(error).splitlines()[0], uri=uri)[:200]
        raise PerennialError(
            f"the registry {_shown(uri)} cannot be reached: {said}. Nothing was released. "
            "Check MLFLOW_TRACKING_URI, or unset it to use the one in the state root"
        ) from error
    return client


def files_digest(model_folder: Path) -> str:
    """sha256 over names and digests of a saved model's files, but for what MLflow and Python leave there in use."""
    names = sorted(
        file.relative_to(model_folder).as_posix()
        for file in model_folder.rglob("*")
        if file.is_file() and file.suffix != ".pyc" and file.name != "registered_model_meta"
    )
    lines = [f"{name} {file_digest(model_folder / name)}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_manifest(package: Path, *, what: str) -> dict[str, Any]:
    """The package's manifest; InputError names the first file that is missing, added or changed."""
    file = package / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        wanted: dict[str, str] = manifest["files"]
    except FileNotFoundError:
        raise InputError(f"{what}: {MANIFEST} is missing; the version is not complete") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{what}: {MANIFEST} is broken: {error!r}") from None
    there = {item.relative_to(package).as_posix() for item in package.rglob("*") if item.is_file()} - {MANIFEST}
    for name in sorted(there ^ set(wanted)):
        raise InputError(f"{what}: {name} {'was added' if name in there else 'is missing'}; refused")
    for name, digest in wanted.items():
        found = file_digest(package / name)
        if found != digest:
            raise InputError(
                f"{what}: {name} has sha256 {found[:12]}, its manifest says {digest[:12]}: it was changed; refused"
            )
    return manifest


def without_credentials(text: str, *, uri: str) -> str:
    """The text without what stands before an `@` in the address: libraries repeat it in their messages."""
    netloc = urlparse(uri).netloc
    return text.replace(netloc.rsplit("@", 1)[0] + "@", "") if "@" in netloc else text


def _shown(uri: str) -> str:
    return without_credentials(uri, uri=uri)
