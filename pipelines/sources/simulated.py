"""The embedded source: the domain's own simulator, seeded and offline, one file per day."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

from pipelines.records.domain import Domain
from pipelines.records.raw import strings_of_frame
from pipelines.runtime.errors import ParamsError
from pipelines.sources.accounting import Ledger
from pipelines.sources.chunk import RawChunk


@dataclass(frozen=True)
class SimulatedSource:
    """Days of the domain's simulator."""

    domain: Domain
    seed: int
    parameters: dict[str, Any]
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield one chunk per day, or several for a day that is larger than a chunk."""
        try:
            asked = inspect.signature(self.domain.stream).bind(start=start, end=end, seed=self.seed, **self.parameters)
        except TypeError as error:
            raise ParamsError(
                f"params.yaml: simulator: {error}; expected the parameters of `stream` in "
                f"{self.domain.folder}/simulator.py (the window is ingest.start and ingest.end, the seed resources.seed)"
            ) from None
        self.ledger.clear()
        yield from self.ledger.watched(self._chunks(asked.kwargs, start=start, chunk_rows=chunk_rows))

    def _chunks(self, arguments: dict[str, Any], *, start: date, chunk_rows: int) -> Iterator[RawChunk]:
        for number, frame in enumerate(self.domain.stream(**arguments)):
            file = f"simulated/{start + timedelta(days=number)}"
            table = strings_of_frame(frame, file=file)
            self.ledger.of(file).stated = len(frame)
            for first in range(0, max(table.num_rows, 1), chunk_rows):
                piece = table.slice(first, chunk_rows)
                yield RawChunk(file, piece, np.arange(first, first + piece.num_rows) + 1)
