"""Parameters of scoring."""

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.stats.slices import SliceParams


class ParityParams(StageParams):
    """params.yaml: score.parity, the gate of an exported model."""

    rows: int = Field(ge=1)  # gold rows that it is compared on, newest first
    min_rows: int = Field(ge=1)  # fewer decide nothing, and the export is not used
    min_agreement: float = Field(gt=0, le=1)  # share of rows with the label of the fp32 model
    max_slice_loss: float = Field(ge=0, lt=1)  # accuracy that the worst slice may lose
    slices: SliceParams


class ScoreParams(StageParams):
    """params.yaml: score."""

    workers: int = Field(ge=1, le=256)  # processes that score partitions side by side
    partition_rows: int = Field(ge=1)  # most records in one partition
    parity: ParityParams
