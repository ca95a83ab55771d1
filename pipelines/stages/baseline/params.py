"""Parameters of the baseline stage."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.models.base_model import BaseModelParams
from pipelines.runtime.params import StageParams


class WordParams(StageParams):
    """params.yaml: baseline.words. The vocabulary of the linear model."""

    ngrams: int = Field(default=2, ge=1, le=3, description="longest run of words that is a term")
    min_records: int = Field(default=3, ge=1, description="texts that a term must occur in")
    max_terms: int = Field(ge=1, description="terms kept, the most frequent ones")
    max_characters: int = Field(default=20000, ge=1, description="characters of a text that are read")


class LinearParams(StageParams):
    """params.yaml: baseline.linear. Logistic regression; several models are averaged."""

    strengths: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="C: a larger one fits closer")
    vectors: list[bool] = Field(min_length=1, description="false: words alone; true: also the encoder's vectors")
    folds: int = Field(default=3, ge=2, le=20, description="folds of the out-of-fold logits that the trees see")
    max_iterations: int = Field(default=60, ge=1, description="iterations of the solver")


class BoostingParams(StageParams):
    """params.yaml: baseline.boosting. LightGBM trees that correct the linear model."""

    rounds: int = Field(ge=0, description="most boosting rounds; 0 keeps the linear model alone")
    patience: int = Field(default=15, ge=1, description="rounds without a lower gold validation log loss")
    evidence: float = Field(
        default=1.0, ge=0, description="standard errors by which the trees must lower calibrated validation log loss"
    )
    learning_rate: float = Field(gt=0, le=1, description="shrinkage of each tree")
    leaves: int = Field(ge=2, description="leaves per tree")
    min_leaf_rows: int = Field(default=20, ge=1, description="rows per leaf")
    column_share: float = Field(default=0.2, gt=0, le=1, description="share of the columns drawn for each tree")
    l2: float = Field(default=5.0, ge=0, description="L2 penalty")
    max_bins: int = Field(default=63, ge=2, le=255, description="histogram bins of a column")
    max_levels: int = Field(default=200, ge=1, description="levels of a category; rarer ones count as null")


class TuningParams(StageParams):
    """params.yaml: baseline.tuning."""

    trials: int = Field(ge=0, description="optuna trials over the boosting parameters; 0 takes them as they are")


class BaselineParams(StageParams):
    """params.yaml: baseline."""

    shared: ClassVar[tuple[str, ...]] = ("base_model",)

    base_model: BaseModelParams
    min_class_rows: int = Field(
        default=20, ge=1, description="training rows of a class; a class with fewer is named before training"
    )
    soft_labels: bool = Field(description="train on label probabilities, else on the weak label")
    class_weights: Literal["balanced", "none"] = Field(description="weights of training rows by class")
    words: WordParams
    linear: LinearParams
    boosting: BoostingParams
    tuning: TuningParams
