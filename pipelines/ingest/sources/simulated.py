"""The embedded source: the domain's own simulator, seeded and offline, one file a day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from pipelines.core.domain import Domain
from pipelines.ingest.sources.chunk import RawChunk, strings_of_frame


@dataclass(frozen=True)
class SimulatedSource:
    """Days of the domain's simulator."""

    domain: Domain
    seed: int
    knobs: dict[str, Any]

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """One chunk a day, cut where a day is larger than a chunk."""
        days = self.domain.simulate(start=start, end=end, seed=self.seed, **self.knobs)
        for number, frame in enumerate(days):
            file = f"simulated/{start + timedelta(days=number)}"
            table = strings_of_frame(frame, file=file)
            for first in range(0, max(table.num_rows, 1), chunk_rows):
                piece = table.slice(first, chunk_rows)
                yield RawChunk(file, piece, np.arange(first, first + piece.num_rows) + 1)
