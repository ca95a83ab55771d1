"""Raw rows of a request, as the source delivers them, become records through the conversion that ingest uses."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.live.serve.answering import LiveRecord

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from pipelines.records.domain import Domain


@dataclass(frozen=True)
class ConvertedRows:
    """Records of the rows of one request, and the rows that are not records."""

    records: list[LiveRecord]
    places: list[int]  # row of the request that each record comes from
    rejected: dict[int, str]  # row of the request -> why it is not a record, without personal data


class RowConverter:
    """Converts the raw rows of one request at a time; safe to call from several threads."""

    def __init__(self, domain: Domain, *, max_text_chars: int) -> None:
        self._domain = domain
        self._max_text_chars = max_text_chars
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[Mapping[str, Any]], *, latest: datetime) -> ConvertedRows:
        """Convert rows (n); one that was received after `latest` is rejected.

        Raises InputError when the domain cannot read the columns of the rows.
        """
        with self._lock:
            frame, places, rejected = self.convert(rows, latest=latest)
        names = ["id", "received_at", "text", *(feature.name for feature in self._domain.schema.features)]
        plain = frame[names].astype(object).where(frame[names].notna(), None)
        records = [LiveRecord({str(k): v for k, v in row.items()}, converted=True) for row in plain.to_dict("records")]
        return ConvertedRows(records, places.tolist(), rejected)

    def convert(
        self, rows: Sequence[Mapping[str, Any]], *, latest: datetime
    ) -> tuple[pd.DataFrame, np.ndarray, dict[int, str]]:
        """Return the canonical records, their rows, and the reasons of the other rows, as ingest gives them."""
        import numpy as np
        import polars as pl

        from pipelines.records.conversion import ACCEPTED, REJECTED, to_records
        from pipelines.records.raw import table_of_rows
        from pipelines.records.redaction import clean, redact
        from pipelines.records.validation import Origin

        def outcomes(records: pd.DataFrame, reasons: np.ndarray) -> np.ndarray:
            empty = self._domain.schema.requires_text & (records["text"].str.strip() == "").to_numpy(dtype=bool)
            late = (records["received_at"] > latest).to_numpy(dtype=bool)
            return np.select(
                [reasons != "", late, empty],
                [REJECTED, "received_at is in the future", "the text is empty"],
                default=ACCEPTED,
            )

        converted = to_records(
            table_of_rows(rows),
            domain=self._domain,
            # Domains without ids make them of the origin, so that it must differ between requests.
            origin=Origin.of(f"request-{uuid.uuid4().hex}", rows=len(rows)),
            max_text_chars=self._max_text_chars,
            outcomes=outcomes,
        )
        left_out = converted.left_out["outcome"]
        others = zip(left_out.index.tolist(), left_out.tolist(), strict=True)
        reasons = converted.rejected | {place: why for place, why in others if why != REJECTED}
        safe = redact(clean(pl.Series([reasons[place] for place in sorted(reasons)], dtype=pl.String)))[0].to_list()
        return converted.records, converted.places, dict(zip(sorted(reasons), safe, strict=True))
