"""Parameters of ingest: the source with its window, and the limits of its gate."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from pipelines.runtime.params import StageParams
from pipelines.sources.params import SourceParams


class LimitParams(StageParams):
    """params.yaml: ingest.limits."""

    min_rows: int = Field(ge=1, description="accepted rows in the window")
    max_rejected_share: float = Field(ge=0, le=1, description="rejected share of the rows read")
    max_stale_days: int = Field(ge=0, description="days without a row at the end of the window")
    volume: tuple[float, float] = Field(description="[min, max] rows of the last week divided by the usual week")
    max_null_rise: float = Field(
        default=0.3, gt=0, le=1, description="rise of a column's share of nulls in one week over its usual week"
    )
    min_known_ratio: float = Field(
        default=0.5, gt=0, le=1, description="share of rows whose group is known, in the last weeks over its usual"
    )
    min_known_rows: int = Field(
        default=100, ge=1, description="rows of the last weeks that the known share is measured on: four weeks or more"
    )
    max_scale: float = Field(
        default=8.0, gt=1, description="factor between a number's median in one week and its usual week: a changed unit"
    )
    max_revised_share: float = Field(
        default=0.5, ge=0, le=1, description="changed share of the days known from the last good run"
    )
    max_reused_share: float = Field(
        default=0.05, ge=0, le=1, description="share of rows whose id came again with another time and another text"
    )
    max_lost_characters: float = Field(
        default=0.1, ge=0, description="characters per row that decoding replaces or conversion removes"
    )
    max_long_rows: float = Field(
        default=0.01, ge=0, le=1, description="share of the lines that a few very long rows span: a stray quote"
    )
    min_week_rows: int = Field(
        default=30, ge=1, description="rows per week; fewer are taken together, or leave columns undecided"
    )
    min_weeks: int = Field(default=4, ge=2, description="whole weeks that a usual week is computed from")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 <= self.volume[0] < self.volume[1]:
            raise ValueError(f"invalid volume = {list(self.volume)}: expected [min, max] with 0 <= min < max")
        return self


class IngestParams(SourceParams):
    """params.yaml: ingest."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(description="file with the facts of the last good run")
    version_column: str | None = Field(
        default=None, description="column of the source that orders the states of a record; null: files, then rows"
    )
    chunk_rows: int = Field(default=50_000, ge=1, description="rows in memory at once; changes no byte of the output")
    max_text_chars: int = Field(default=200_000, ge=1, description="characters; a longer text goes to quarantine")
    keep_without_text: bool = Field(
        default=False, description="true: keep rows without a text although the domain is about text"
    )
    limits: LimitParams
