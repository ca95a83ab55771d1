"""Parameters of the release."""

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.runtime.project import MODEL_NAME


class ReleaseParams(StageParams):
    """params.yaml: release."""

    model_name: str | None = Field(pattern=MODEL_NAME, description="registered model; null: perennial-<domain>")
    max_p95_single_ms: float = Field(
        gt=0, description="95th percentile of one record's time in the pre-flight load test"
    )
    max_p95_batch_ms: float = Field(gt=0, description="95th percentile of the time of 64 records in the same test")
    preflight_seconds: float = Field(default=3.0, gt=0, le=60, description="duration of the load test per batch size")
    preflight_clients: int = Field(default=2, ge=1, le=64, description="concurrent callers of the load test")
    max_self_labeled_share: float = Field(
        ge=0, le=1, description="share of training rows whose label may be the model's own answer"
    )
    through_canary: bool = Field(description="true: a new version is challenger first, and its canary decides")
