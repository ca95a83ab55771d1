"""Parameters of the label stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import StageParams

Part = Literal["train", "validation", "recent", "anchor"]


class LabelModelParams(StageParams):
    """params.yaml: label.label_model. Snorkel's LabelModel and the paired test that it must pass."""

    enabled: bool = Field(description="false: majority vote without a comparison")
    epochs: int = Field(default=500, gt=0, description="epochs of its training")
    learning_rate: float = Field(default=0.01, gt=0, description="learning rate of its training")
    min_rows: int = Field(default=200, ge=1, description="gold rows that the paired test needs")
    resamples: int = Field(default=2000, ge=100, description="bootstrap resamples of the paired test")


class LabelParams(StageParams):
    """params.yaml: label."""

    measured_parts: tuple[Part, ...] = Field(
        default=("train", "validation"), min_length=1, description="parts whose gold rows measure the labels"
    )
    chosen_on: tuple[Part, ...] = Field(
        default=("validation",), min_length=1, description="parts whose gold rows choose vote or label model"
    )
    train_on: Literal["weak", "gold_where_present", "gold_only"] = Field(
        default="gold_where_present",
        description="labels of training rows: the functions', gold where a row has it, or gold and nothing else",
    )
    ties: Literal["abstain", "random"] = Field(description="random: by a hash of the row number, as snorkel does")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of every interval, two-sided")
    label_model: LabelModelParams
    min_kappa: float = Field(ge=-1, le=1, description="Cohen's kappa with gold (lower bound)")
    min_kappa_rows: int = Field(ge=1, description="gold rows with a label; with fewer kappa is undecided")
    min_coverage: float = Field(ge=0, le=1, description="share of rows with a label (lower bound)")
    min_coverage_rows: int = Field(ge=1, description="rows; with fewer coverage is undecided")
    min_class_coverage: float = Field(
        ge=0, le=1, description="share of each class's gold rows with a label; closes on evidence of less"
    )
    min_class_gold_rows: int = Field(
        default=50, ge=1, description="gold rows of a class; with fewer its coverage is undecided"
    )
    min_class_rows: int = Field(ge=1, description="training rows that each class must get")
    queue_rows: int = Field(ge=0, description="rows that are queued for a person")
    max_queue_margin: float = Field(
        default=0.3, ge=0, le=1, description="lead of the best label over the second below which a row is queued"
    )
