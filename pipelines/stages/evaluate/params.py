"""Parameters of evaluate."""

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import StageParams
from pipelines.stats.slices import SliceParams


class FairnessParams(StageParams):
    """params.yaml: evaluate.fairness: limits on predictions, closed on evidence of harm."""

    min_disparate_impact: float = Field(ge=0, le=1)  # of being answered right
    max_equal_opportunity: float = Field(ge=0, le=1)  # difference of true-positive rates
    max_equalized_odds: float = Field(ge=0, le=1)  # larger of the two rate differences
    min_group_rows: int = Field(ge=1)  # a smaller group is undecided
    min_class_rows: int = Field(ge=1)  # of a class in both groups, to count for equalized odds


class EvaluateParams(StageParams):
    """params.yaml: evaluate."""

    min_scores: dict[Literal["accuracy", "macro_f1", "lowest_recall"], float] | None  # lower bound on `recent`
    max_losses: dict[Literal["log_loss", "brier"], float] | None  # upper bound on `recent`
    min_lift: float = Field(ge=0, lt=1)  # macro-F1 above always answering the most frequent class (lower bound)
    min_rows: int = Field(ge=1)  # of the recent test set
    cluster_by: tuple[str, ...]  # rows drawn together: text, entity, day or a feature
    resamples: int = Field(ge=200)  # of the bootstrap
    confidence: float = Field(gt=0.5, lt=1)  # of each one-sided bound
    margin: float = Field(ge=0, lt=1)  # macro-F1 by which finetune must beat baseline
    bins: int = Field(ge=2)  # of the reliability diagram
    null_simulations: int = Field(ge=50)  # of the calibration error's null
    slices: SliceParams
    max_slice_gap: float = Field(gt=0, lt=1)  # accuracy of a slice below the whole; closes on evidence of more
    fairness: FairnessParams
