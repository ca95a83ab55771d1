"""Parameters of scoring."""

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.stats.slices import SliceParams


class ParityParams(StageParams):
    """params.yaml: score.parity. The gate of an exported model."""

    rows: int = Field(default=1500, ge=1, description="gold rows that it is compared on, newest first")
    min_rows: int = Field(default=500, ge=1, description="gold rows; with fewer the export is not used")
    min_agreement: float = Field(gt=0, le=1, description="share of rows with the label of the fp32 model")
    max_slice_loss: float = Field(ge=0, lt=1, description="accuracy that the worst slice may lose")
    slices: SliceParams


class ScoreParams(StageParams):
    """params.yaml: score."""

    workers: int = Field(ge=1, le=256, description="processes that score partitions; they divide resources.threads")
    partition_rows: int = Field(
        default=2048,
        ge=1,
        description="records per partition: what a kill costs; more texts of one length share a batch",
    )
    labels_obtained: Literal["random_audit", "all_records", "complaint", "correction", "review_queue"] = Field(
        default="all_records",
        description="how late labels of the source, and those of a labels file that does not state it, were obtained; "
        "only random_audit and all_records compare models",
    )
    parity: ParityParams
