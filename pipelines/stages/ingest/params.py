"""Parameters of ingest: which source, which days, and from where on its gate closes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams


class FilesParams(StageParams):
    """params.yaml: ingest.files."""

    paths: list[str]  # addresses or globs; relative ones start at PERENNIAL_DATA (default: the repository root)
    encoding: str  # of CSV and JSON lines


class CfpbParams(StageParams):
    """params.yaml: ingest.cfpb."""

    address: str = Field(pattern=r"^https?://")  # PERENNIAL_CFPB_URL in the environment wins
    page_rows: int = Field(ge=1, le=10_000)  # rows a page of a search
    search_per_minute: int = Field(ge=1)  # requests the service allows
    export_per_minute: int = Field(ge=1)
    attempts: int = Field(ge=1, le=20)  # tries of one request, and of one day
    backoff_seconds: float = Field(ge=0)  # wait after the first failed try; doubles with each
    timeout_seconds: float = Field(gt=0)  # silence after which a request counts as failed


class SqlParams(StageParams):
    """params.yaml: ingest.sql."""

    address_variable: str = Field(min_length=1)  # environment variable that holds the SQLAlchemy address
    query: str | None  # selects the rows of a window: it holds :start, :end and ORDER BY

    @field_validator("query")
    @classmethod
    def _bounded_and_ordered(cls, query: str | None) -> str | None:
        if query is None:
            return None
        for part in (":start", ":end"):
            if part not in query:
                raise ValueError(f"the query lacks {part}; half-open bounds of the window would be right")
        if "order by" not in " ".join(query.lower().split()):
            raise ValueError("the query lacks ORDER BY; without it the same window may not give the same bytes")
        return query


class LimitParams(StageParams):
    """params.yaml: ingest.limits."""

    min_rows: int = Field(ge=1)  # accepted rows in the window
    max_rejected_share: float = Field(ge=0, le=1)  # of the rows read
    max_stale_days: int = Field(ge=0)  # days without a row at the end of the window
    volume: tuple[float, float]  # rows of the last week over the usual week
    max_null_rise: float = Field(gt=0, le=1)  # of one column's share of nulls in one week over the usual week
    max_scale: float = Field(gt=1)  # factor between a number's median in one week and the usual week
    max_revised_share: float = Field(ge=0, le=1)  # of the days known from the last good run
    min_week_rows: int = Field(ge=1)  # a week with fewer decides nothing about columns
    min_weeks: int = Field(ge=2)  # whole weeks before which there is no usual week

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not 0 <= self.volume[0] < self.volume[1]:
            raise ValueError(f"volume = {list(self.volume)}: [least, most] would be right")
        return self


class IngestParams(StageParams):
    """params.yaml: ingest."""

    source: Literal["simulated", "files", "cfpb", "sql"]
    start: date  # first UTC day of the window
    end: date  # first UTC day after it
    window_days: int = Field(ge=1)  # what a scheduled run makes of its end
    revision: int = Field(ge=0)  # bumped to read again what a source has changed
    reference: str  # file of the last good run
    chunk_rows: int = Field(ge=1)  # rows in memory at once; changes no byte of the output
    max_text_chars: int = Field(ge=1)  # a longer text goes to quarantine
    keep_without_text: bool  # keep rows without text where the domain is about text
    limits: LimitParams
    files: FilesParams
    cfpb: CfpbParams
    sql: SqlParams

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start = {self.start} is not before end = {self.end}; the window is half-open")
        if self.source == "files" and not self.files.paths:
            raise ValueError("source = files needs files.paths")
        if self.source == "sql" and self.sql.query is None:
            raise ValueError("source = sql needs sql.query")
        return self

    def unresolved(self, *, root: Path, environment: Mapping[str, str]) -> list[str]:
        """Return what is missing of the source, one line each: files, or the variable that holds its address."""
        from pipelines.stages.ingest.sources.files import FilesSource
        from pipelines.stages.ingest.sources.sql import address_of

        try:
            if self.source == "files":
                folder = root / environment.get("PERENNIAL_DATA", "")
                FilesSource(paths=self.files.paths, encoding=self.files.encoding, root=folder).addresses()
            if self.source == "sql":
                address_of(self.sql.address_variable, environment)
        except InputError as error:
            return [str(error)]
        return []
