"""Parameters of the release."""

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.runtime.project import MODEL_NAME


class ReleaseParams(StageParams):
    """params.yaml: release."""

    model_name: str | None = Field(pattern=MODEL_NAME)  # registered model; null: named after the domain
    max_p95_single_ms: float = Field(gt=0)  # pre-flight: 95th percentile of one record, under load
    max_p95_batch_ms: float = Field(gt=0)  # pre-flight: 95th percentile of 64 records, under load
    preflight_seconds: float = Field(gt=0, le=60)  # how long each batch size is kept under load
    preflight_clients: int = Field(ge=1, le=64)  # callers at once
    max_self_labeled_share: float = Field(ge=0, le=1)  # training rows whose label may be the model's own answer
    through_canary: bool  # a new version becomes challenger first; its canary makes it champion or takes it back
