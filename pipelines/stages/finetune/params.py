"""Parameters of the finetune stage."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipelines.models.base_model import BaseModelParams
from pipelines.runtime.params import StageParams


class LoraParams(StageParams):
    """params.yaml: finetune.lora. Low-rank adapters."""

    rank: int = Field(default=16, ge=1, description="rank of the adapters")
    alpha: int = Field(default=32, ge=1, description="scale of the adapters")
    targets: list[str] | Literal["all-linear"] = Field(
        default="all-linear", description="names of the linear modules that get an adapter"
    )


class FinetuneParams(StageParams):
    """params.yaml: finetune."""

    shared: ClassVar[tuple[str, ...]] = ("base_model",)

    base_model: BaseModelParams
    mode: Literal["top_layers", "lora"] = Field(description="train the top layers fully, or low-rank adapters")
    train_layers: int | None = Field(ge=1, description="layers trained, from the top; null (lora only): all")
    cache_frozen: bool = Field(description="compute the frozen layers once per text and keep their activations")
    processes: int = Field(ge=1, le=64, description="training processes, one per GPU; another number changes bytes")
    lora: LoraParams = LoraParams()
    soft_labels: bool = Field(description="cross entropy with label probabilities, else with the weak label")
    class_weights: Literal["balanced", "none"] = Field(description="weights of training rows by class")
    max_rows: int = Field(ge=1, description="training rows, drawn by the seed: bounds the time")
    epochs: int = Field(ge=1, description="passes over the training rows")
    batch_rows: int = Field(ge=1, description="rows per step, of all processes together")
    learning_rate: float = Field(gt=0, description="of the base model's weights")
    head_learning_rate: float = Field(gt=0, description="of the classification head")
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW")
    warmup_share: float = Field(
        default=0.04, ge=0, lt=1, description="share of all steps with a rising rate; then it falls as a cosine to 0"
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="0: its random numbers would cost a third of the time on a CPU"
    )
    clip_norm: float = Field(default=1.0, gt=0, description="largest gradient norm")
    evaluate_every: int = Field(ge=1, description="steps between evaluations on gold validation, and checkpoints")
    evaluate_rows: int = Field(default=800, ge=1, description="gold validation rows per evaluation, drawn by the seed")
    patience: int = Field(default=4, ge=1, description="evaluations without a better macro-F1 after which it stops")

    @model_validator(mode="after")
    def _top_layers_are_counted(self) -> Self:
        if self.train_layers is None and (self.mode == "top_layers" or self.cache_frozen):
            raise ValueError("invalid train_layers = None: expected a number with mode top_layers or with cache_frozen")
        return self
