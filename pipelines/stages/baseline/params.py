"""Parameters of the baseline stage."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.models.base_model import BaseModelParams
from pipelines.runtime.params import StageParams


class WordParams(StageParams):
    """params.yaml: baseline.words."""

    ngrams: int = Field(ge=1, le=3)  # longest run of words that is a term
    min_records: int = Field(ge=1)  # a term of fewer texts is left out
    max_terms: int = Field(ge=1)  # the most widespread are kept
    max_characters: int = Field(ge=1)  # of a text; the rest is not read


class LinearParams(StageParams):
    """params.yaml: baseline.linear."""

    strengths: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)  # C of logistic regression: larger fits closer
    vectors: list[bool] = Field(min_length=1)  # false: words alone; true: the encoder's vectors beside them; both: mean
    folds: int = Field(ge=2, le=20)  # of the out-of-fold logits that the trees see
    max_iterations: int = Field(ge=1)


class BoostingParams(StageParams):
    """params.yaml: baseline.boosting."""

    rounds: int = Field(ge=0)  # at most; 0 leaves the linear model alone
    patience: int = Field(ge=1)  # rounds without a better gold validation log loss
    evidence: float = Field(ge=0)  # standard errors by which the trees must lower calibrated gold validation log loss
    learning_rate: float = Field(gt=0, le=1)
    leaves: int = Field(ge=2)
    min_leaf_rows: int = Field(ge=1)
    column_share: float = Field(gt=0, le=1)  # of the columns, drawn for each tree
    l2: float = Field(ge=0)
    max_bins: int = Field(ge=2, le=255)
    max_levels: int = Field(ge=1)  # of a category; rarer ones count as null


class TuningParams(StageParams):
    """params.yaml: baseline.tuning."""

    trials: int = Field(ge=0)  # of optuna over the boosting parameters; 0 takes them as they are


class BaselineParams(StageParams):
    """params.yaml: baseline."""

    shared: ClassVar[tuple[str, ...]] = ("base_model",)

    base_model: BaseModelParams
    soft_labels: bool  # train on label probabilities, else on the weak label
    class_weights: Literal["balanced", "none"]
    words: WordParams
    linear: LinearParams
    boosting: BoostingParams
    tuning: TuningParams
