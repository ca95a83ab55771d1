"""Parameters of the bias gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import StageParams

Part = Literal["train", "validation", "recent", "anchor"]


class BiasGateParams(StageParams):
    """params.yaml: bias_gate."""

    measured_parts: tuple[Part, ...] = Field(min_length=1)  # whose gold rows measure labeling errors
    confidence: float = Field(gt=0.5, lt=1)  # of every interval, two-sided
    min_group_rows: int = Field(ge=1)  # a smaller group is undecided
    min_class_rows: int = Field(ge=1)  # rows of a class in both groups for equalized odds
    min_disparate_impact: float = Field(gt=0, le=1)  # lower rate over the higher one
    max_equal_opportunity: float = Field(gt=0, le=1)  # |difference of true-positive rates|
    max_equalized_odds: float = Field(gt=0, le=1)  # largest |difference| of error rates
    undecided_closes: bool  # false: a group too small to judge is only reported
    mitigation: Literal["none", "reweighing"]
    max_weight: float = Field(ge=1)
    min_effective_sample: float = Field(gt=0, le=1)  # share of the rows that the weights leave
    min_validation_rows: int = Field(ge=1)  # of a group with a label, from which the weights are judged
    max_weighted_parity: float = Field(gt=0, le=1)  # |difference of weighted label shares| on validation
