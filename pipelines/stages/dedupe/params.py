"""Parameters of dedupe."""

from typing import ClassVar

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.text.shingles import NearDuplicateParams


class DedupeParams(StageParams):
    """params.yaml: dedupe."""

    shared: ClassVar[tuple[str, ...]] = ("near_duplicates",)

    near_duplicates: NearDuplicateParams
    max_removed_share: float = Field(gt=0, le=1, description="share of records with text that may be removed")
    max_cluster_share: float = Field(gt=0, le=1, description="share of records that one kept text may represent")
    max_placeholder_share: float = Field(
        default=0.02, gt=0, le=1, description='share of records whose text is one short placeholder, such as "N/A"'
    )
    max_cut_share: float = Field(
        default=0.01, ge=0, le=1, description="share of records that may reach near_duplicates.max_comparisons"
    )
    min_rows: int = Field(ge=1, description="records with text; with fewer the shares are undecided")
