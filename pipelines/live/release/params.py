"""Parameters of the release."""

from pydantic import Field

from pipelines.runtime.params import StageParams, load_params
from pipelines.runtime.project import MODEL_NAME, Project


class ReleaseParams(StageParams):
    """params.yaml: release."""

    model_name: str | None = Field(pattern=MODEL_NAME)  # registered model; null: named after the domain
    p95_single_ms_at_most: float = Field(gt=0)  # pre-flight: 95th percentile of one record, under load
    p95_batch_ms_at_most: float = Field(gt=0)  # pre-flight: 95th percentile of 64 records, under load
    preflight_seconds: float = Field(gt=0, le=60)  # how long each batch size is kept under load
    preflight_clients: int = Field(ge=1, le=64)  # callers at once
    through_canary: bool  # a new version becomes challenger first; its canary makes it champion or takes it back


def load_release_params() -> ReleaseParams:
    """Section `release`; without a name the registered model is named after the domain's folder."""
    return load_params("release", ReleaseParams)


def model_name() -> str:
    """Name of the registered model of this checkout."""
    load_release_params()  # the section is right as a whole
    return Project.open().model_name
