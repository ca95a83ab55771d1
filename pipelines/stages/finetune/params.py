"""Parameters of the finetune stage."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.models.base_model import BaseModelParams
from pipelines.runtime.params import StageParams


class LoraParams(StageParams):
    """params.yaml: finetune.lora."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    targets: list[str] | Literal["all-linear"]  # names of the linear modules that get an adapter


class FinetuneParams(StageParams):
    """params.yaml: finetune."""

    shared: ClassVar[tuple[str, ...]] = ("base_model",)

    base_model: BaseModelParams
    mode: Literal["top_layers", "lora"]  # the top layers fully, or low-rank adapters
    train_layers: int | None = Field(ge=1)  # layers from the top that are trained; null (lora only): all
    cache_frozen: bool  # compute the layers below once per text and keep their activations for all epochs
    processes: int = Field(ge=1, le=64)  # that train together, one a GPU; another number changes bytes
    lora: LoraParams
    soft_labels: bool  # cross entropy against label probabilities, else against the weak label
    class_weights: Literal["balanced", "none"]
    max_rows: int = Field(ge=1)  # training rows at most, drawn by the seed: bounds the time
    epochs: int = Field(ge=1)
    batch_rows: int = Field(ge=1)
    learning_rate: float = Field(gt=0)  # of the base model's weights
    head_learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_share: float = Field(ge=0, lt=1)  # of all steps, linear; then cosine down to 0
    dropout: float = Field(ge=0, lt=1)
    clip_norm: float = Field(gt=0)
    evaluate_every: int = Field(ge=1)  # steps between looks at gold validation, and between checkpoints
    evaluate_rows: int = Field(ge=1)  # gold validation rows looked at, drawn by the seed
    patience: int = Field(ge=1)  # looks without a better macro-F1 after which training stops

    @model_validator(mode="after")
    def _top_layers_are_counted(self) -> Self:
        if self.train_layers is None and (self.mode == "top_layers" or self.cache_frozen):
            raise ValueError("train_layers must be a number with mode top_layers or with cache_frozen")
        return self
