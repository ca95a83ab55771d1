"""Parameters of evaluate."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.runtime.params import Reason, StageParams
from pipelines.stats.slices import SliceParams


class FairnessParams(StageParams):
    """params.yaml: evaluate.fairness. Limits on predictions; the gate closes on evidence of bias."""

    min_disparate_impact: float = Field(ge=0, le=1, description="ratio of the rates of correct answers")
    max_equal_opportunity: float = Field(ge=0, le=1, description="difference of true-positive rates")
    max_equalized_odds: float = Field(ge=0, le=1, description="larger difference of true- and false-positive rates")
    min_group_rows: int = Field(ge=1, description="rows of a group; with fewer it is undecided")
    undecided_passes: dict[str, Reason] = Field(
        default={}, description="protected attribute: why a group too small to decide on does not close the gate"
    )
    max_counterfactual_changes: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="share of answers that change when words that reveal an attribute are exchanged; null: reported only",
    )
    min_class_rows: int = Field(
        default=30, ge=1, description="rows of a class: in both groups for equalized odds, in all for the lowest recall"
    )


class BlendParams(StageParams):
    """params.yaml: evaluate.blend. The weighted mean of both models' probabilities, a third candidate."""

    weights: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        description="weights of the fine-tuned model that gold validation rows choose from; empty: no blend",
    )
    min_rows: int = Field(default=50, ge=1, description="gold validation rows; with fewer there is no blend")


class EvaluateParams(StageParams):
    """params.yaml: evaluate."""

    min_scores: dict[Literal["accuracy", "macro_f1", "lowest_recall"], float] | None = Field(
        default=None, description="scores on the rolling test set (lower bounds); null: no limits"
    )
    max_losses: dict[Literal["log_loss", "brier"], float] | None = Field(
        default=None, description="losses on the rolling test set (upper bounds); null: no limits"
    )
    min_lift: float = Field(ge=0, lt=1, description="macro-F1 above the most frequent class alone (lower bound)")
    min_rows: int = Field(ge=1, description="gold rows of the rolling test set; with fewer all is undecided")
    cluster_by: tuple[str, ...] = Field(
        default=("text", "entity", "day"),
        description="rows that share one of these (or a feature) are drawn together by the bootstrap",
    )
    resamples: int = Field(default=2000, ge=200, description="resamples of the bootstrap over clusters")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of each one-sided bound")
    margin: float = Field(ge=0, lt=1, description="macro-F1 by which a costlier candidate must win")
    blend: BlendParams = Field(default=BlendParams(), description="of baseline and fine-tuned model")
    bins: int = Field(default=15, ge=2, description="bins of the reliability diagram")
    null_simulations: int = Field(
        default=200, ge=50, description="simulations of a perfectly calibrated model's calibration error"
    )
    slices: SliceParams
    max_slice_gap: float = Field(
        gt=0, lt=1, description="accuracy of a slice below that of all rows; closes on evidence of more"
    )
    fairness: FairnessParams
