"""Parameters of the bias gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import Reason, StageParams

Part = Literal["train", "validation", "recent", "anchor"]


class BiasGateParams(StageParams):
    """params.yaml: bias_gate."""

    measured_parts: tuple[Part, ...] = Field(
        default=("train", "validation"), min_length=1, description="parts whose gold rows measure labeling errors"
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of every interval, two-sided")
    min_group_rows: int = Field(ge=1, description="rows of a group; with fewer it is undecided")
    min_class_rows: int = Field(ge=1, description="rows of a class in both groups that equalized odds needs")
    min_disparate_impact: float = Field(gt=0, le=1, description="lower rate divided by the higher one")
    max_equal_opportunity: float = Field(gt=0, le=1, description="difference of true-positive rates")
    max_equalized_odds: float = Field(gt=0, le=1, description="largest difference of true- or false-positive rates")
    undecided_passes: dict[str, Reason] = Field(
        default={}, description="protected attribute: why a group too small to decide on does not close the gate"
    )
    max_text_auc: float | None = Field(
        default=None, gt=0.5, lt=1, description="AUC of a protected attribute from the text alone; null: reported only"
    )
    probe_rows: int = Field(default=2500, ge=200, description="records whose texts are probed for protected attributes")
    mitigation: Literal["none", "reweighing"] = Field(description="reweighing of training rows, n_g n_y / (n n_gy)")
    max_weight: float = Field(default=5.0, ge=1, description="largest weight of a training row")
    min_effective_sample: float = Field(
        default=0.5, gt=0, le=1, description="effective rows that the weights leave, (sum w)^2 / sum w^2, as a share"
    )
    min_validation_rows: int = Field(
        default=50, ge=1, description="labeled validation rows of a group; with fewer the weights are undecided"
    )
    max_weighted_parity: float = Field(
        default=0.1, gt=0, le=1, description="difference of weighted label shares on validation"
    )
