"""Parameters of the label stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.runtime.params import StageParams

Part = Literal["train", "validation", "recent", "anchor"]


class LabelModelParams(StageParams):
    """params.yaml: label.label_model, snorkel's LabelModel and the paired test it has to win."""

    enabled: bool  # false: majority vote without asking
    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    min_rows: int = Field(ge=1)  # gold rows from which the paired test is made
    resamples: int = Field(ge=100)  # bootstrap resamples of the paired test


class LabelParams(StageParams):
    """params.yaml: label."""

    measured_parts: tuple[Part, ...] = Field(min_length=1)  # whose gold rows measure the labels
    chosen_on: tuple[Part, ...] = Field(min_length=1)  # whose gold rows choose majority vote or label model
    ties: Literal["abstain", "random"]  # random: by a hash of the row number, as snorkel does
    confidence: float = Field(gt=0.5, lt=1)  # of every interval, two-sided
    label_model: LabelModelParams
    min_kappa: float = Field(ge=-1, le=1)  # lower bound of Cohen's kappa on gold rows
    min_kappa_rows: int = Field(ge=1)
    min_coverage: float = Field(ge=0, le=1)  # lower bound of the share of rows with a label
    min_coverage_rows: int = Field(ge=1)
    min_class_coverage: float = Field(ge=0, le=1)  # the same for the gold rows of each class
    min_class_gold_rows: int = Field(ge=1)  # gold rows of a class from which its coverage is decided
    min_class_rows: int = Field(ge=1)  # training rows that each class must get
    queue_rows: int = Field(ge=0)  # rows a person is asked to look at
    max_queue_margin: float = Field(ge=0, le=1)  # a smaller lead of the best label over the second asks for a look
