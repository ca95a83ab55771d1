"""The CFPB complaint search API: day by day, within its rate limits, resumable, each complaint once.

A day of up to 10,000 complaints is paged by `search_after`; a larger one is exported. What a service may do wrong is
expected: `date_received_max` may or may not include its day, a page may come again, a day may come short. A finished
day is kept as a file with its digest below the state root, so that an interrupted run goes on where it was. Before kept
days are used, their number of complaints is compared with what the service states now; a day that differs is read again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipelines.records.spelling import cell_of
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import write_atomic
from pipelines.sources.accounting import Ledger
from pipelines.sources.chunk import RawChunk

if TYPE_CHECKING:
    from pipelines.sources.http import Client
    from pipelines.sources.params import CfpbParams

logger = logging.getLogger(__name__)

MAX_PAGED = 10_000  # the service pages no deeper (MAX_PAGINATION_DEPTH)
FIELDS = (
    *("complaint_id", "date_received", "product", "sub_product", "issue", "sub_issue", "complaint_what_happened"),
    *("company_public_response", "company", "state", "zip_code", "tags", "submitted_via", "date_sent_to_company"),
    *("company_response", "timely"),
)
OLD_FIELDS = ("consumer_consent_provided", "consumer_disputed")  # gone since June 2026

STATED = ("last_updated", "last_indexed")  # what the service reports about its content as a whole

Row = dict[str, Any]


class IncompleteDay(Exception):
    """The service returned less than announced, or something else; another request may help."""


@dataclass(frozen=True)
class CfpbSource:
    """Days of the complaint database, each requested once and then cached."""

    client: Client
    page_rows: int
    attempts: int
    cache: Path
    replays: bool = False  # kept days are the recorded input, whatever the service states now
    ledger: Ledger = field(default_factory=Ledger, compare=False)

    @classmethod
    def polite(cls, *, address: str, params: CfpbParams, cache: Path, revision: int, replays: bool) -> CfpbSource:
        """Return a source that keeps the stated limits, with a cache of its own per address and revision."""
        from pipelines.sources.http import Client, Pace

        client = Client(
            address=address,
            attempts=params.attempts,
            backoff_seconds=params.backoff_seconds,
            timeout_seconds=params.timeout_seconds,
            paces={
                "search": Pace(params.search_per_minute, seconds=60.0),
                "export": Pace(params.export_per_minute, seconds=60.0),
            },
        )
        key = hashlib.sha256(address.encode()).hexdigest()[:12]
        return cls(client, params.page_rows, params.attempts, cache / f"{key}-revision-{revision}", replays)

    def fingerprint(self, *, start: date, end: date) -> dict[str, Any]:
        """Return how many complaints of the window the service announces, and when it last changed, if it states it."""
        try:
            page = self._counted(start, end - timedelta(days=1))
        finally:
            self.client.close()
        total, relation = _total(page)
        meta = page.get("_meta") or {}
        stated = {name: str(meta[name]) for name in STATED if meta.get(name) is not None}
        return {"rows": total, "relation": relation, **stated}

    def read(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        """Yield one chunk per day, or several for a day that is larger than a chunk."""
        try:
            self.ledger.clear()
            if not self.replays:
                self._forget_changed(start=start, end=end)
            yield from self.ledger.watched(self._days(start=start, end=end, chunk_rows=chunk_rows))
        finally:
            self.client.close()

    def _days(self, *, start: date, end: date, chunk_rows: int) -> Iterator[RawChunk]:
        seen: set[str] = set()
        for offset in range((end - start).days):
            day = start + timedelta(days=offset)
            found = self.day(day)  # as many as the service states, or an error
            rows = [row for row in found if row["complaint_id"] not in seen]
            account = self.ledger.of(f"cfpb/{day}")
            account.stated, account.repeated = len(found), len(found) - len(rows)
            seen.update(row["complaint_id"] for row in rows)
            names = [*FIELDS, *(name for name in OLD_FIELDS if any(name in row for row in rows))]
            for first in range(0, max(len(rows), 1), chunk_rows):
                piece = rows[first : first + chunk_rows]
                columns = [pa.array([row.get(name) for row in piece], pa.large_string()) for name in names]
                numbers = np.arange(first, first + len(piece)) + 1
                yield RawChunk(f"cfpb/{day}", pa.table(columns, names=names), numbers)

    def day(self, day: date) -> list[Row]:
        """Return the complaints of one day in order of their ids, from the cache or from the service."""
        kept = self._kept(day)
        rows = None if kept is None else read_day(kept)
        if rows is not None:
            return rows
        for attempt in range(1, self.attempts + 1):
            try:
                rows = self._fetch(day)
                break
            except IncompleteDay as error:
                logger.warning("%s: %s; trying again (%d of %d)", day, error, attempt, self.attempts)
                cause = error
        else:
            raise InputError(f"{self.client.address}: {day} could not be read completely: {cause}; run again later")
        if kept is not None:
            kept.unlink(missing_ok=True)
        write_day(self.cache / f"{day}.{len(rows)}.json.gz", rows)
        logger.info("%s: %d complaints", day, len(rows))
        return rows

    def _kept(self, day: date) -> Path | None:
        return next(iter(sorted(self.cache.glob(f"{day}.*.json.gz"))), None)

    def _forget_changed(self, *, start: date, end: date) -> None:
        """Remove kept days of the window whose number of complaints is not the one that the service states."""
        days = [start + timedelta(days=offset) for offset in range((end - start).days)]
        kept = {day: file for day in days if (file := self._kept(day)) is not None}
        sample = next((day for day, file in kept.items() if _n_kept(file)), None)
        excludes = sample is not None and _total(self._counted(sample, sample))[0] == 0
        beyond = timedelta(days=int(excludes))  # how far `date_received_max` lies after the last day, as in `_fetch`
        stretch: list[date] = []
        for day in days:
            stretch += [day] if day in kept else []
            if stretch and (day not in kept or day == days[-1]):
                self._compare(stretch, kept=kept, beyond=beyond)
                stretch = []

    def _compare(self, stretch: list[date], *, kept: dict[date, Path], beyond: timedelta) -> None:
        """Compare the complaints of consecutive kept days with the service's count; halve the stretch if they differ."""
        expected = sum(_n_kept(kept[day]) for day in stretch)
        first, last = stretch[0], stretch[-1]
        total, relation = _total(self._counted(first, last + beyond))
        if total == expected and relation == "eq":
            return
        if first != last:
            middle = len(stretch) // 2
            self._compare(stretch[:middle], kept=kept, beyond=beyond)
            self._compare(stretch[middle:], kept=kept, beyond=beyond)
        elif relation == "eq" or total > expected:  # else the service states only a lower bound
            logger.info(
                "%s: the service states %d complaints, %d are kept: the day is read again", first, total, expected
            )
            kept[first].unlink(missing_ok=True)

    def _counted(self, first: date, last: date) -> Any:
        """Return the service's answer with the number of complaints of some days; InputError when it has none."""
        query = {"date_received_min": first.isoformat(), "date_received_max": last.isoformat()}
        page = self.client.get("search", {**query, "no_aggs": "true", "no_highlight": "true", "size": "1"})
        try:
            _total(page)
        except IncompleteDay as error:
            raise InputError(f"{self.client.address}: {error}") from None
        return page

    def _fetch(self, day: date) -> list[Row]:
        """Request one day, then two: the service's code includes the last day, its documentation does not."""
        rows = self._between(day, day)
        if not rows:
            rows = self._between(day, day + timedelta(days=1))
        found = {row["complaint_id"]: row for row in rows if row["date_received"][:10] == day.isoformat()}
        return [found[key] for key in sorted(found, key=lambda key: (len(key), key))]

    def _between(self, first: date, last: date) -> list[Row]:
        query = {
            "date_received_min": first.isoformat(),
            "date_received_max": last.isoformat(),
            "sort": "created_date_asc",
            "no_aggs": "true",
            "no_highlight": "true",
        }
        page = self.client.get("search", {**query, "size": str(self.page_rows)})
        total, relation = _total(page)
        if total > MAX_PAGED or relation != "eq":
            exported = _unique(_rows(self.client.get("export", {**query, "format": "json"})))
            if len(exported) < total:
                raise IncompleteDay(f"the export holds {len(exported)} of {total} complaints")
            return exported
        rows: dict[str, Row] = {}
        number = 1
        while True:
            hits = _hits(page)
            fresh = {row["complaint_id"]: row for row in _rows(hits)}
            if hits and not fresh.keys() - rows.keys():
                raise IncompleteDay(f"page {number} holds only complaints of the pages before")
            rows |= fresh
            if len(rows) >= total or not hits:
                break
            number += 1
            cursor = _cursor(page, number)
            page = self.client.get("search", {**query, "size": str(self.page_rows), "search_after": cursor})
        if len(rows) < total:
            raise IncompleteDay(f"received {len(rows)} of {total} complaints")
        return list(rows.values())


def _n_kept(file: Path) -> int:
    """Return the number of complaints that the name of a kept day states."""
    return int(file.name.split(".")[1])


def read_day(file: Path) -> list[Row] | None:
    """Return the rows of a cached day; None when the file is missing or damaged."""
    try:
        content = json.loads(gzip.decompress(file.read_bytes()))
        rows: list[Row] = content["rows"]
        intact = content["digest"] == rows_digest(rows)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        logger.warning("%s is damaged; the day is requested again", file)
        return None
    return rows


def write_day(file: Path, rows: list[Row]) -> None:
    """Write a finished day to the cache, with the digest of its rows."""
    content = json.dumps({"digest": rows_digest(rows), "rows": rows}, ensure_ascii=False, sort_keys=True)
    write_atomic(file, gzip.compress(content.encode(), mtime=0))


def rows_digest(rows: list[Row]) -> str:
    """Return the sha256 over rows in canonical JSON."""
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _total(page: Any) -> tuple[int, str]:
    try:
        total = page["hits"]["total"]
        return int(total["value"]), str(total.get("relation", "eq"))
    except (KeyError, TypeError, ValueError):
        raise IncompleteDay("the answer has no hits.total.value") from None


def _hits(page: Any) -> list[Any]:
    try:
        return list(page["hits"]["hits"])
    except (KeyError, TypeError):
        raise IncompleteDay("the answer has no hits") from None


def _cursor(page: Any, number: int) -> str:
    """Return where the page `number` begins: as in the service's break_points, else after the last hit of this page."""
    points = (page.get("_meta") or {}).get("break_points") or {}
    place = points.get(str(number)) or (_hits(page)[-1].get("sort"))
    if not isinstance(place, list) or len(place) != 2:
        raise IncompleteDay(f"page {number} has no start: break_points and sort are missing")
    return f"{place[0]}_{place[1]}"


def _rows(hits: Any) -> list[Row]:
    """Return the fields of the hits as text; IncompleteDay for a complaint without id or date."""
    if not isinstance(hits, list):
        raise IncompleteDay("the answer is not a list of complaints")
    rows = []
    for hit in hits:
        content = hit.get("_source") if isinstance(hit, dict) else None
        if not isinstance(content, dict):
            raise IncompleteDay("a hit has no _source")
        content = {"complaint_id": hit.get("_id"), **content}
        row = {name: cell_of(content.get(name)) for name in FIELDS}
        row |= {name: cell_of(content[name]) for name in OLD_FIELDS if name in content}
        if not row["complaint_id"] or not row["date_received"]:
            raise IncompleteDay("a complaint has no complaint_id or no date_received")
        rows.append(row)
    return rows


def _unique(rows: list[Row]) -> list[Row]:
    return list({row["complaint_id"]: row for row in rows}.values())
