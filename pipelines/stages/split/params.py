"""Parameters of split."""

from typing import ClassVar

from pydantic import Field, model_validator

from pipelines.runtime.params import StageParams
from pipelines.text.shingles import NearDuplicateParams


class AnchorParams(StageParams):
    """params.yaml: split.anchor, how the anchor set is cut while no champion has one."""

    oldest_share: float = Field(gt=0, le=1)  # of the train period's gold rows, by time, that it is drawn from
    drawn_share: float = Field(gt=0, lt=1)  # of those, by class


class LeakParams(StageParams):
    """params.yaml: split.leak, when one feature alone gives the label away."""

    max_accuracy: float = Field(gt=0, lt=1)
    max_skill: float = Field(gt=0, lt=1)  # of what the most frequent class gets wrong
    folds: int = Field(ge=2, le=20)
    rows_per_bin: int = Field(ge=2)  # of a number
    min_rows: int = Field(ge=1)


class PartRows(StageParams):
    """params.yaml: split.min_part_rows, rows a part needs."""

    train: int = Field(ge=1)
    validation: int = Field(ge=1)
    recent: int = Field(ge=1)
    anchor: int = Field(ge=1)


class SplitParams(StageParams):
    """params.yaml: split."""

    shared: ClassVar[tuple[str, ...]] = ("near_duplicates",)

    recent_share: float = Field(gt=0, lt=1)  # of the gold rows, by time
    validation_share: float = Field(gt=0, lt=1)  # of the gold rows, by time
    embargo_days: int = Field(ge=0)  # between train and what tests it; never less than the domain's gold delay
    complete_gold_share: float = Field(gt=0, le=1)  # below it the newest rows still wait for their gold
    anchor: AnchorParams
    near_duplicates: NearDuplicateParams
    leak: LeakParams
    min_part_rows: PartRows
    min_class_rows: int = Field(ge=1)

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "SplitParams":
        if self.recent_share + self.validation_share >= 1:
            raise ValueError("recent_share + validation_share = 1 or more leaves nothing to train on")
        return self
