"""Parameters of split."""

from typing import ClassVar

from pydantic import Field, model_validator

from pipelines.runtime.params import StageParams
from pipelines.text.shingles import NearDuplicateParams


class AnchorParams(StageParams):
    """params.yaml: split.anchor. How the anchor set is drawn while no champion has one."""

    oldest_share: float = Field(
        default=0.4, gt=0, le=1, description="oldest share of the train period's gold rows that the set is drawn from"
    )
    drawn_share: float = Field(default=0.2, gt=0, lt=1, description="share of those that is drawn, per class")


class LeakParams(StageParams):
    """params.yaml: split.leak. When one feature alone gives the label away."""

    max_accuracy: float = Field(gt=0, lt=1, description="accuracy of gold predicted from one feature, out of fold")
    max_skill: float = Field(
        default=0.5, gt=0, lt=1, description="share of the most frequent class's errors that one feature may avoid"
    )
    folds: int = Field(default=5, ge=2, le=20, description="folds of the out-of-fold prediction")
    rows_per_bin: int = Field(default=20, ge=2, description="rows per bin of a number")
    min_rows: int = Field(default=200, ge=1, description="gold rows; with fewer the check is undecided")
    max_sign_precision: float = Field(
        default=0.92, gt=0, lt=1, description="share of the records with a word or value that are of one class"
    )
    max_sign_recall: float = Field(
        default=0.9, gt=0, lt=1, description="share of the records of a class that have one word or value"
    )
    min_sign_rows: int = Field(default=30, ge=5, description="records that have a word or value, and of a class")


class PartRows(StageParams):
    """params.yaml: split.min_part_rows. Rows that a part needs."""

    train: int = Field(ge=1, description="rows of the training part")
    validation: int = Field(ge=1, description="rows of the validation part")
    recent: int = Field(ge=1, description="rows of the rolling test set")
    anchor: int = Field(ge=1, description="rows of the fixed test set")


class SplitParams(StageParams):
    """params.yaml: split."""

    shared: ClassVar[tuple[str, ...]] = ("near_duplicates",)

    recent_share: float = Field(gt=0, lt=1, description="newest share of the gold rows: the rolling test set")
    validation_share: float = Field(gt=0, lt=1, description="share of the gold rows just before the test set")
    embargo_days: int = Field(
        ge=0, description="days between train and its test sets; never less than the domain's gold delay"
    )
    complete_gold_share: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="gold share of the newest rows, relative to older ones, below which they wait for their gold",
    )
    anchor: AnchorParams = AnchorParams()
    near_duplicates: NearDuplicateParams
    leak: LeakParams
    min_part_rows: PartRows
    min_class_rows: int = Field(ge=1, description="rows of a class in a gold part; with fewer it is undecided")

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "SplitParams":
        total = self.recent_share + self.validation_share
        if total >= 1:
            raise ValueError(
                f"recent_share + validation_share = {total:g}: expected less than 1, to leave rows to train"
            )
        return self
