"""The two passes of ingest: convert every chunk, then write what was accepted in order and measure it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.gates.verdict import Check, Verdict
from pipelines.records.domain import Domain
from pipelines.sources.opening import Source
from pipelines.stages.ingest import checks
from pipelines.stages.ingest.batches import RowOutcomes, batches, convert_batch
from pipelines.stages.ingest.checks import LastGood
from pipelines.stages.ingest.groups import check_known_groups, known_groups
from pipelines.stages.ingest.params import IngestParams
from pipelines.stages.ingest.spool import RowGroups, Spool, quarantine_types, record_types
from pipelines.stages.ingest.versions import VersionColumn
from pipelines.stages.ingest.weekly import Profile, RawDigest, add_week

logger = logging.getLogger(__name__)

SHOWN = 5  # lost rows that the verdict shows


@dataclass(frozen=True)
class Ingested:
    """What the stage writes in addition to records and quarantine."""

    per_day: pd.DataFrame
    metrics: dict[str, Any]
    verdict: Verdict


class Tally:
    """Sums over the batches."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.redactions: dict[str, int] = {}
        self.groups: dict[str, dict[str, int]] = {}
        self.shown: list[dict[str, Any]] = []

    def add(self, result: RowOutcomes) -> None:
        """Add the counts of one batch."""
        _add(self.counts, result.counts)
        _add(self.redactions, result.redactions)
        for name, counts in result.lost_by_group.items():
            _add(self.groups.setdefault(name, {}), counts)
        self.lose(result.lost)

    def lose(self, lost: pd.DataFrame) -> None:
        """Count lost rows by kind and reason, and keep the first few that were rejected."""
        for kind, reason in zip(lost["kind"], lost["reason"], strict=True):
            cause = f"{kind}: {str(reason).split('; found')[0]}"[:120]
            self.reasons[cause] = self.reasons.get(cause, 0) + 1
        rejected = lost[lost["kind"] == "rejected"].head(SHOWN - len(self.shown))
        self.shown += [
            {"file": file, "row": row, "reason": reason}
            for file, row, reason in zip(rejected["file"], rejected["row"], rejected["reason"], strict=True)
        ]


def ingest(
    source: Source,
    *,
    domain: Domain,
    params: IngestParams,
    last_good: LastGood,
    scratch: Path,
    records: Path,
    quarantine: Path,
) -> Ingested:
    """Write accepted records to `records` and lost rows to `quarantine`; memory does not grow with the rows."""
    types, tally, raw_digest = record_types(domain.schema), Tally(), RawDigest()
    spool = Spool(folder=scratch, types=types, end=params.end)
    versions = None if params.version_column is None else VersionColumn(params.version_column)
    lost_rows = RowGroups(quarantine, types=quarantine_types())
    chunks = source.read(start=params.start, end=params.end, chunk_rows=params.chunk_rows)
    for number, batch in enumerate(batches(chunks, chunk_rows=params.chunk_rows), start=1):
        raw_digest.add(batch.table)
        result = convert_batch(
            batch,
            domain=domain,
            start=params.start,
            end=params.end,
            max_text_chars=params.max_text_chars,
            keep_without_text=params.keep_without_text,
            versions=versions,
        )
        spool.add(result.records, origin=result.origin, withheld=result.withheld)
        lost_rows.write_frame(result.lost)
        tally.add(result)
        logger.info("chunk %d: %d rows read, %d accepted so far", number, tally.counts["read"], spool.count)
    repeats = spool.drop_older()
    lost_rows.write_frame(repeats)
    lost_rows.close()
    tally.lose(repeats)

    profile, files, accepted = Profile(), list(spool.files), RowGroups(records, types=types)
    for week in spool.weeks():
        add_week(profile, week, schema=domain.schema, end=params.end, files=files)
        accepted.write(week)
    accepted.close()
    metrics = measure(
        profile, tally=tally, repeats=repeats, digest=raw_digest.hex(), n_labels=len(domain.schema.labels)
    )
    metrics["known_groups"] = known_groups(
        profile.weeks, names=list(profile.groups), min_rows=params.limits.min_known_rows, end=params.end
    )
    metrics["accounting"] = source.ledger.to_dict()
    accounting = checks.check_accounting(
        source.ledger,
        outcomes=metrics["rows"],
        lost=params.limits.max_lost_characters,
        long=params.limits.max_long_rows,
    )
    joined = source.ledger.sum("joined_rows")
    rest = check_ingest(profile, params=params, last_good=last_good, tally=tally, repeats=repeats, joined=joined)
    verdict = Verdict.of("ingest", [*accounting, *rest], shown_records=tally.shown)
    _log(metrics, verdict)
    return Ingested(per_day=_per_day(profile), metrics=metrics, verdict=verdict)


def check_ingest(
    profile: Profile, *, params: IngestParams, last_good: LastGood, tally: Tally, repeats: pd.DataFrame, joined: int
) -> list[Check]:
    """Return the checks of what was read, accepted and lost; `joined` rows are part of other rows, all rejected."""
    limits, days, rows = params.limits, profile.day_rows(), profile.rows
    in_window = tally.counts.get("read", 0) - tally.counts.get("outside_window", 0)
    whole = (params.end - params.start).days // 7
    return [
        checks.check_rejected(
            tally.counts.get("rejected", 0), joined=joined, rows=in_window, limit=limits.max_rejected_share
        ),
        checks.check_reused(int(repeats["another"].sum()), rows=in_window, limit=limits.max_reused_share),
        checks.check_rows(
            rows,
            limit=limits.min_rows,
            start=params.start,
            end=params.end,
            outside=tally.counts.get("outside_window", 0),
        ),
        checks.check_freshness(days, end=params.end, limit=limits.max_stale_days),
        checks.check_volume(profile.weeks, limit=limits.volume, min_weeks=limits.min_weeks, whole=whole),
        checks.check_nulls(
            profile.weeks,
            limit=limits.max_null_rise,
            min_week_rows=limits.min_week_rows,
            min_weeks=limits.min_weeks,
        ),
        checks.check_scale(
            profile.weeks, limit=limits.max_scale, min_week_rows=limits.min_week_rows, min_weeks=limits.min_weeks
        ),
        *check_known_groups(
            profile.weeks,
            names=list(profile.groups),
            limit=limits.min_known_ratio,
            min_rows=limits.min_known_rows,
        ),
        checks.check_columns(profile.null_shares(), rows=rows, last_good=last_good),
        checks.check_gold(profile.gold, min_rows=limits.min_week_rows),
        *checks.checks_against_last_good(
            profile, last_good=last_good, volume=limits.volume, max_revised_share=limits.max_revised_share
        ),
    ]


def measure(profile: Profile, *, tally: Tally, repeats: pd.DataFrame, digest: str, n_labels: int) -> dict[str, Any]:
    """Return the content of metrics.json: every row read is in exactly one of the counts below `rows`."""
    kinds = repeats["kind"].value_counts()
    counts = {name: tally.counts.get(name, 0) for name in ("read", "outside_window", "rejected", "without_text")}
    again = {kind: int(kinds.get(kind, 0)) for kind in ("repeated", "revised")}
    groups = {
        name: {
            group: {"accepted": counts_[group], "without_text": tally.groups.get(name, {}).get(group, 0)}
            for group in ("member", "rest")
        }
        for name, counts_ in profile.groups.items()
    }
    return {
        "rows": {**counts, **again, "accepted": profile.rows},
        "outside": {name: tally.counts.get(f"{name}_window", 0) for name in ("before", "after")},
        "reasons": tally.reasons,
        "redacted": tally.redactions,
        "with_text": profile.texts,
        "gold": {
            "rows": sum(profile.gold.values()),
            "not_yet_known": tally.counts.get("gold_not_yet_known", 0),
            "classes": len(profile.gold),
            "classes_without": n_labels - len(profile.gold),
            "per_class": profile.gold,
        },
        "groups": groups,
        "null_share": profile.null_shares(),
        "days_with_rows": len(profile.day_rows()),
        "rows_per_week": checks.rows_per_week(profile),
        "raw_digest": digest,
    }


def _per_day(profile: Profile) -> pd.DataFrame:
    frame = pd.DataFrame(profile.days, columns=["day", "file", "rows", "digest"])
    return frame.assign(
        day=pd.to_datetime(frame["day"], utc=True).astype("datetime64[us, UTC]"), rows=frame["rows"].astype("int64")
    )


def _log(metrics: dict[str, Any], verdict: Verdict) -> None:
    logger.info("rows: %s", ", ".join(f"{name} {count}" for name, count in metrics["rows"].items()))
    if metrics["outside"]["after"]:
        logger.warning("%d rows are dated after the window: left out, not rejected", metrics["outside"]["after"])
    for check in verdict.checks:
        logger.log(logging.WARNING if check.closes else logging.INFO, "%s", check.describe())


def _add(sums: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        sums[name] = sums.get(name, 0) + count
