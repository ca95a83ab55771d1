"""The order in which states of one record replace each other: a column that the source has for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.records.validation import Origin
from pipelines.runtime.errors import InputError


@dataclass
class VersionColumn:
    """`ingest.version_column`: all its cells are numbers, or all are ISO times; an empty one is the oldest."""

    name: str
    numeric: bool | None = None  # unknown until the first cell with a value

    def of(self, table: pa.Table, *, origin: Origin) -> np.ndarray:
        """Return what orders the rows (n) of a table; InputError names a missing column or the first wrong cell."""
        wanted = self.name.strip().casefold()
        found = [name for name in table.column_names if name.strip().casefold() == wanted]
        if len(found) != 1:
            raise InputError(
                f"{origin.first}: ingest.version_column = {self.name!r} names {len(found)} columns: expected one "
                f"of {', '.join(table.column_names)}"
            )
        cells = table[found[0]].to_pandas()
        given = cells.dropna()
        if self.numeric is None and len(given):
            self.numeric = bool(pd.notna(pd.to_numeric(given.iloc[:1], errors="coerce")).all())
        if self.numeric:
            values = pd.to_numeric(given, errors="coerce")
        else:
            values = pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce").astype("datetime64[us, UTC]")
        if values.isna().any():
            row = int(values.index[int(values.isna().to_numpy().argmax())])
            raise InputError(
                f"{origin.files[row]}, row {origin.rows[row]}: column {found[0]!r} (ingest.version_column) "
                f"is {str(cells[row])[:60]!r}: expected {'a number' if self.numeric else 'a time such as 2025-01-31T10:30'}"
                " as in the rows before"
            )
        whole = values.astype("int64") if values.dtype.kind == "M" else values
        oldest = np.iinfo(np.int64).min if whole.dtype.kind == "i" else -np.inf
        order = np.full(len(cells), oldest, dtype=whole.dtype if len(whole) else np.int64)
        order[given.index] = whole
        return order
