"""Parameters of promote."""

from pydantic import Field

from pipelines.profile.freeze import ProfileParams
from pipelines.runtime.params import StageParams
from pipelines.stats.slices import SliceParams


class PromoteParams(StageParams):
    """params.yaml: promote."""

    margin: float = Field(ge=0, lt=1, description="macro-F1 that a release may lose to the champion (lower bound)")
    superiority: bool = Field(description="release only what is better than the champion")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of the one-sided bound that releases")
    better_confidence: float = Field(
        default=0.975, gt=0.5, lt=1, description="of the one-sided bound above which a candidate counts as better"
    )
    anchor_margin: float = Field(
        ge=0, lt=1, description="macro-F1 on `anchor` below the best champion so far; does not add up over releases"
    )
    slice_margin: float = Field(ge=0, lt=1, description="accuracy that a slice may lose; closes on evidence of more")
    prior_margin: float = Field(ge=0, lt=1, description="without a champion: macro-F1 above the most frequent class")
    min_rows: int = Field(ge=1, description="gold rows of the rolling test set that a decision needs")
    cluster_by: tuple[str, ...] = Field(
        default=("text", "entity", "day"),
        description="rows that share one of these (or a feature) are drawn together by the bootstrap",
    )
    resamples: int = Field(default=2000, ge=200, description="resamples of the paired bootstrap")
    slices: SliceParams
    profile: ProfileParams = ProfileParams()
    predicted_rows: int = Field(
        default=600, ge=0, description="rows never trained on, besides gold ones, whose predictions the profile keeps"
    )
    embedded_rows: int = Field(
        default=1500, ge=0, description="rows whose embedding the profile keeps, evenly spread over time"
    )
