"""Where raw rows come from: one interface, four sources, named by `params.yaml: ingest.source`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.records.domain import Domain
    from pipelines.stages.ingest.params import IngestParams
    from pipelines.stages.ingest.sources.chunk import Source
    from pipelines.stages.ingest.sources.files import FilesSource


def open_source(
    params: IngestParams,
    *,
    domain: Domain,
    seed: int,
    simulator: dict[str, Any],
    environment: Mapping[str, str],
    root: Path,
    home: Path,
) -> Source:
    """The source that `ingest.source` names; addresses and secrets come from the environment."""
    if params.source == "simulated":
        from pipelines.stages.ingest.sources.simulated import SimulatedSource

        return SimulatedSource(domain=domain, seed=seed, parameters=simulator)
    if params.source == "files":
        return _files(params, environment=environment, root=root)
    if params.source == "sql":
        from pipelines.stages.ingest.sources.sql import SqlSource, address_of

        query = str(params.sql.query)  # the model refuses source = sql without one
        return SqlSource(address=address_of(params.sql.address_variable, environment), query=query)
    from pipelines.stages.ingest.sources.cfpb import CfpbSource

    address = environment.get("PERENNIAL_CFPB_URL") or params.cfpb.address
    return CfpbSource.polite(address=address, params=params.cfpb, cache=home / "cfpb-cache", revision=params.revision)


def require_source(params: IngestParams, *, environment: Mapping[str, str], root: Path) -> None:
    """Refuse (InputError) files that no pattern names and an address that the environment does not hold."""
    if params.source == "files":
        _files(params, environment=environment, root=root).addresses()
    if params.source == "sql":
        from pipelines.stages.ingest.sources.sql import address_of

        address_of(params.sql.address_variable, environment)


def _files(params: IngestParams, *, environment: Mapping[str, str], root: Path) -> FilesSource:
    from pipelines.stages.ingest.sources.files import FilesSource

    folder = root / environment.get("PERENNIAL_DATA", "")
    return FilesSource(paths=params.files.paths, encoding=params.files.encoding, root=folder)
