"""Parameters of dedupe."""

from typing import ClassVar

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.text.shingles import NearDuplicateParams


class DedupeParams(StageParams):
    """params.yaml: dedupe."""

    shared: ClassVar[tuple[str, ...]] = ("near_duplicates",)

    near_duplicates: NearDuplicateParams
    max_removed_share: float = Field(gt=0, le=1)  # wipe-out guard: more removed than this closes the gate
    max_cluster_share: float = Field(gt=0, le=1)  # wipe-out guard: share of records that one kept text stands for
    max_cut_share: float = Field(ge=0, le=1)  # records that met near_duplicates.max_comparisons
    min_rows: int = Field(ge=1)  # records with text from which the two shares above are judged
