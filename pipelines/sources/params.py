"""Parameters of a source: where raw rows come from and which window is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipelines.runtime.errors import InputError
from pipelines.runtime.params import StageParams


class FilesParams(StageParams):
    """params.yaml: ingest.files."""

    paths: list[str] = Field(
        default=[],
        description="addresses or globs; relative ones start at PERENNIAL_DATA (default: the repository root)",
    )
    encoding: str = Field(default="utf-8", description="of CSV and JSON lines")
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="between the cells of CSV; null: detected"
    )
    quote: str | None = Field(
        default=None,
        max_length=1,
        description="around cells of CSV; empty: quotes are plain characters; null: detected",
    )
    escape: str | None = Field(
        default=None, max_length=1, description="before a quote or delimiter in CSV; empty: none; null: detected"
    )


class CfpbParams(StageParams):
    """params.yaml: ingest.cfpb."""

    address: str = Field(
        default="https://www.consumerfinance.gov/data-research/consumer-complaints/search/api/v1/",
        pattern=r"^https?://",
        description="address of the service; PERENNIAL_CFPB_URL overrides it",
    )
    page_rows: int = Field(default=1000, ge=1, le=10_000, description="rows per page of a search")
    search_per_minute: int = Field(default=20, ge=1, description="searches per minute that the service allows")
    export_per_minute: int = Field(default=2, ge=1, description="exports per minute that the service allows")
    attempts: int = Field(default=6, ge=1, le=20, description="attempts of one request, and of one day")
    backoff_seconds: float = Field(default=2.0, ge=0, description="wait after the first failure; doubles with each")
    timeout_seconds: float = Field(default=60.0, gt=0, description="silence after which a request counts as failed")


class SqlParams(StageParams):
    """params.yaml: ingest.sql."""

    address_variable: str = Field(
        default="PERENNIAL_SQL_URL", min_length=1, description="environment variable with the SQLAlchemy address"
    )
    query: str | None = Field(
        default=None, description="selects the rows of a window by :start and :end, with ORDER BY"
    )
    version_column: str | None = Field(
        default=None,
        min_length=1,
        description="column of the query that grows with every change: its maximum and the number of rows identify the "
        "content; null: every row is read to see whether one has changed",
    )

    @field_validator("query")
    @classmethod
    def _bounded_and_ordered(cls, query: str | None) -> str | None:
        if query is None:
            return None
        for part in (":start", ":end"):
            if part not in query:
                raise ValueError(f"the query lacks {part}: expected the half-open bounds :start and :end")
        if "order by" not in " ".join(query.lower().split()):
            raise ValueError("the query lacks ORDER BY: without it the same window may not give the same bytes")
        return query


class SourceParams(StageParams):
    """The part of params.yaml: ingest that names the source; the other values of the section are ignored."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["simulated", "files", "cfpb", "sql"] = Field(description="where rows come from")
    start: date = Field(description="first UTC day of the window")
    end: date = Field(description="first UTC day after the window; freshness is measured against it, not a clock")
    window_days: int = Field(ge=1, description="length of the window of a run that is given only its end")
    revision: int = Field(ge=0, description="increase it to read again what a source has changed")
    files: FilesParams = FilesParams()
    cfpb: CfpbParams = CfpbParams()
    sql: SqlParams = SqlParams()

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.start >= self.end:
            raise ValueError(f"start = {self.start} is not before end = {self.end}: the window is half-open")
        if self.source == "files" and not self.files.paths:
            raise ValueError("source = files needs files.paths")
        if self.source == "sql" and self.sql.query is None:
            raise ValueError("source = sql needs sql.query")
        return self

    def unresolved(self, *, root: Path, environment: Mapping[str, str]) -> list[str]:
        """Return what is missing of the source, one line each: files, or the variable that holds its address."""
        from pipelines.sources.files import FilesSource
        from pipelines.sources.sql import address_of

        try:
            if self.source == "files":
                folder = Path(environment.get("PERENNIAL_DATA") or root)
                FilesSource(paths=self.files.paths, encoding=self.files.encoding, root=folder).addresses()
            if self.source == "sql":
                address_of(self.sql.address_variable, environment)
        except InputError as error:
            return [str(error)]
        return []
