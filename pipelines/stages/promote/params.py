"""Parameters of promote."""

from pydantic import Field

from pipelines.profile.freeze import ProfileParams
from pipelines.runtime.params import StageParams
from pipelines.stats.slices import SliceParams


class PromoteParams(StageParams):
    """params.yaml: promote."""

    margin: float = Field(ge=0, lt=1)  # macro-F1 on `recent` that a release may lose against the champion
    superiority: bool  # release only what is better than the champion
    confidence: float = Field(gt=0.5, lt=1)  # of the one-sided bound that releases
    better_confidence: float = Field(gt=0.5, lt=1)  # of the one-sided bound from which a candidate is called better
    anchor_margin: float = Field(ge=0, lt=1)  # macro-F1 on `anchor` below the best champion so far; never adds up
    slice_margin: float = Field(ge=0, lt=1)  # accuracy that a slice may lose; closes on evidence of more
    prior_margin: float = Field(ge=0, lt=1)  # without a champion: macro-F1 above the majority class
    min_rows: int = Field(ge=1)  # recent gold rows that a decision needs
    cluster_by: tuple[str, ...]  # rows drawn together: text, entity, day or a feature
    resamples: int = Field(ge=200)  # of the paired bootstrap
    slices: SliceParams
    profile: ProfileParams
    predicted_rows: int = Field(
        ge=0
    )  # rows never trained on, beside the gold ones, that the profile's answers come from
    embedded_rows: int = Field(ge=0)  # rows of the window whose embedding the profile keeps, evenly spread over time
