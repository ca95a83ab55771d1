"""Knobs of scoring."""

from pydantic import Field

from pipelines.core.params import StageParams


class ScoreParams(StageParams):
    """params.yaml: score."""

    workers: int = Field(ge=1, le=256)  # processes that score partitions side by side
    partition_rows: int = Field(ge=1)  # most records in one partition
