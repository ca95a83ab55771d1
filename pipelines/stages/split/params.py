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


class PoisonParams(StageParams):
    """params.yaml: split.poison. When gold labels look planted, or wrong in the same place."""

    burst_days: int = Field(default=3, ge=1, le=31, description="days that a burst lasts at most")
    min_rows: int = Field(default=8, ge=3, description="gold rows of a burst, of a group or of a new word")
    min_decided_rows: int = Field(default=200, ge=1, description="gold rows; with fewer nothing is decided")
    min_excess: float = Field(
        default=0.25, gt=0, lt=1, description="contradicted share of a group's labels above the usual share"
    )
    min_class_share: float = Field(
        default=0.01, ge=0, lt=1, description="share of a class's gold rows that a burst of one source has"
    )
    min_purity: float = Field(
        default=0.9, gt=0.5, le=1, description="share of a new word's rows of one class, of one source, within days"
    )
    max_inconsistent: float = Field(
        default=0.2, gt=0, lt=1, description="share of gold labels that the texts contradict; closes on evidence"
    )
    max_conflicting_copies: float = Field(
        default=0.2, gt=0, lt=1, description="share of copies with another gold label; closes on evidence of more"
    )
    min_copies: int = Field(default=20, ge=1, description="copies with gold; with fewer they are undecided")
    max_false_alarm: float = Field(
        default=0.001, gt=0, lt=0.5, description="chance that labels wrong at random close the gate, in one run"
    )
    max_rows: int = Field(default=12000, ge=200, description="gold rows that are examined, drawn by the seed")
    folds: int = Field(default=4, ge=2, le=20, description="folds of the out-of-fold prediction")


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
    poison: PoisonParams = PoisonParams()
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
