"""Knobs of the release."""

from pydantic import Field

from pipelines.core.params import StageParams


class ReleaseParams(StageParams):
    """params.yaml: release."""

    model_name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")  # registered model
    p95_single_ms_at_most: float = Field(gt=0)  # pre-flight: 95th percentile of one record, under load
    p95_batch_ms_at_most: float = Field(gt=0)  # pre-flight: 95th percentile of 64 records, under load
    preflight_seconds: float = Field(gt=0, le=60)  # how long each batch size is kept under load
    preflight_clients: int = Field(ge=1, le=64)  # callers at once
    through_canary: bool  # a new version becomes challenger first; its canary makes it champion or takes it back
