"""The source that `params.yaml: ingest.source` names, opened with the project's addresses and folders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Protocol

from pipelines.records.domain import Domain
from pipelines.runtime.project import Project
from pipelines.sources.accounting import Ledger
from pipelines.sources.chunk import RawChunk
from pipelines.sources.params import SourceParams


class Source(Protocol):
    """Anything that yields the raw rows of a half-open window of UTC days; rows outside the window are filtered
    later. Its ledger accounts for what it has read.
    """

    @property
    def ledger(self) -> Ledger:
        """What went in, counted independently of how it was parsed."""
        ...

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield chunks of at most `chunk_rows` rows, always in the same order."""
        ...


def open_source(project: Project, params: SourceParams, *, domain: Domain) -> Source:
    """Return the source of the raw rows; addresses and secrets come from the project's environment variables.

    Raises InputError when the variable that holds a SQL address is not set.
    """
    if params.source == "simulated":
        from pipelines.sources.simulated import SimulatedSource

        parameters = project.parameters.section("simulator")
        return SimulatedSource(domain=domain, seed=project.resources.seed, parameters=parameters)
    if params.source == "files":
        from pipelines.sources.dialect import Dialect
        from pipelines.sources.files import FilesSource

        files = params.files
        dialect = Dialect(files.delimiter, files.quote, files.escape)
        return FilesSource(paths=files.paths, encoding=files.encoding, root=project.data_folder, dialect=dialect)
    if params.source == "sql":
        from pipelines.sources.sql import SqlSource, address_of

        query = str(params.sql.query)  # SourceParams refuses source = sql without one
        return SqlSource(address=address_of(params.sql.address_variable, project.environment), query=query)
    from pipelines.sources.cfpb import CfpbSource

    address = project.environment.get("PERENNIAL_CFPB_URL") or params.cfpb.address
    cache = project.state / "cfpb-cache"
    return CfpbSource.polite(
        address=address, params=params.cfpb, cache=cache, revision=params.revision, replays=project.replays
    )
