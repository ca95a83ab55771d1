"""Measure a live week against the profile of a version, and write its verdict and pages."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live.drift.files import drift_lock, verdict_folder, write_page
from pipelines.live.drift.ledger import Account
from pipelines.live.drift.params import ConceptParams, DriftParams
from pipelines.monitoring.live_state import live_folder
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.drift.live import Live
    from pipelines.profile.profile import Profile

logger = logging.getLogger(__name__)

LIVE_WEEKS = 8  # two windows of four weeks
TEXT_DAYS = 14  # days before the end of the window whose texts are measured


@dataclass(frozen=True)
class Week:
    """What to measure: the UTC days [start, end), a version, and how much to look at."""

    start: date
    end: date
    now: datetime  # with time zone; the window must be over
    version: int | None = None  # None: the champion
    previous: int | None = None  # the champion before it; None: the registry's
    profile_folder: Path | None = None  # instead of the one in the registry
    texts: bool = False  # read the texts again, for unknown words and embeddings
    evidently: bool = True  # write Evidently's report, too


@dataclass(frozen=True)
class Reference:
    """A version to measure against: its profile, the digest that its model must have, and the version before it."""

    version: int
    previous: int | None
    profile_folder: Path
    model_digest: str | None


def measure(project: Project, week: Week) -> dict[str, Any]:
    """Write `drift/<key>/verdict.json`, `drift.html` and `evidently.html`, and return what a scheduler needs of them.

    Raises InputError when the window is empty, longer than a week or not over, the profile belongs to another model or
    domain, or a file of predictions is not readable; StoreError while another drift command runs.
    """
    from pipelines.live.drift.live import count_live
    from pipelines.live.drift.verdict import make_verdict
    from pipelines.monitoring.predictions import days_scored, read_predictions
    from pipelines.profile.profile import Profile
    from pipelines.records.domain import Domain

    _require_over(week)
    params, schema = project.section("drift", DriftParams), Domain(project.domain_folder).schema
    live, end = live_folder(project), week.end
    reference = find_reference(project, week)
    profile = Profile.read(reference.profile_folder)
    profile.refuse_other(domain=schema.name, model_digest=reference.model_digest)
    with drift_lock(live, seconds=params.lock_seconds):
        n_days = 7 * max(params.alarm.trend_weeks, LIVE_WEEKS)
        rows = read_predictions(live, start=end - timedelta(days=n_days), end=end)
        texts = _measure_texts(project, profile, reference=reference, end=end) if week.texts else None
        version = reference.version
        counted = count_live(rows, profile=profile, model_version=version, end=end, n_days=n_days, texts=texts)
        verdict = make_verdict(
            profile,
            counted,
            model_version=version,
            start=week.start,
            params=params,
            concept=_concept(
                live, profile, reference=reference, end=end, delay=schema.gold_delay_days, params=params.concept
            ),
            scored=days_scored(live, before=end),
            moved_since=Account.read(live).answered(profile.end),
        )
        folder = verdict_folder(live, verdict["key"])
        write_atomic(folder / "verdict.json", to_json(verdict))
        write_page(folder, verdict, decision=None, alarm=params.alarm)
        if week.evidently and len(counted.frame):
            _write_evidently(folder, profile=profile, live=counted, limit=params.alarm.breach_excess)
    logger.info("%s: %s; %s", verdict["key"], verdict["outcome"], folder / "drift.html")
    return summary(verdict, folder=folder)


def _require_over(week: Week) -> None:
    """Raise InputError for a window that is not a week, or not over yet."""
    from pipelines.live.drift.verdict import require_week

    start, end, now = week.start, week.end, week.now
    require_week(start, end=end)
    if datetime(end.year, end.month, end.day, tzinfo=UTC) > now:
        raise InputError(f"window [{start}, {end}) ends after now ({now:%Y-%m-%d %H:%M} UTC): it is not over yet")


def summary(verdict: dict[str, Any], *, folder: Path) -> dict[str, Any]:
    """Return what a scheduler needs of a verdict in `folder`."""
    return {
        "key": verdict["key"],
        "verdict": str(folder / "verdict.json"),
        "page": str(folder / "drift.html"),
        "outcome": verdict["outcome"],
        "model_version": verdict["model_version"],
        "window": verdict["window"],
        "breaches": verdict["breaches"],
        "alerts": verdict["alerts"],
        "upstream_broken": [c["name"] for c in verdict["upstream"]["checks"] if c["outcome"] == "failed"],
        "columns": sorted(verdict["columns"]),
    }


def find_reference(project: Project, week: Week) -> Reference:
    """Return the version to measure against; the registry is read only for what the week does not name."""
    from pipelines.live.release.package import read_manifest
    from pipelines.live.release.registry import CHAMPION, PREVIOUS, Registry

    version, previous, profile_folder = week.version, week.previous, week.profile_folder
    if profile_folder is not None and version is not None:
        manifest = profile_folder.parent / "manifest.json"
        digest = json.loads(manifest.read_bytes())["model_digest"] if manifest.is_file() else None
        return Reference(version, previous, profile_folder, digest)
    registry = Registry.open(project)
    version = version if version is not None else registry.champion()
    package = registry.package(version)
    if previous is None and version == registry.alias(CHAMPION):
        previous = registry.alias(PREVIOUS)
    digest = str(read_manifest(package)["model_digest"])
    return Reference(version, previous, profile_folder or package / "profile", digest)


def _concept(
    live: Path, profile: Profile, *, reference: Reference, end: date, delay: int, params: ConceptParams
) -> dict[str, Any]:
    """Compare the version's answers with the late labels before `end`; `delay` is the days that labels usually take."""
    import pandas as pd

    from pipelines.live.drift.concept import against_previous, against_release, join_labels, selection_of
    from pipelines.monitoring.predictions import read_labels, read_predictions
    from pipelines.monitoring.sampling import count_obtained

    # A label comes late: what it labels was received up to twice the stated delay before.
    first = end - timedelta(days=params.label_days + 2 * delay + 7)
    predictions, labels = (read(live, start=first, end=end) for read in (read_predictions, read_labels))
    since = pd.Timestamp(end - timedelta(days=params.label_days), tz="UTC")
    fresh = labels[labels["labeled_at"] >= since] if len(labels) else labels
    own, unknown = join_labels(predictions, labels, model_version=reference.version, since=since)
    if unknown:
        logger.warning("%d of %d labels are of records that were never predicted; left out", unknown, len(fresh))
    previous = -1 if reference.previous is None else reference.previous
    before, _ = join_labels(predictions, labels, model_version=previous, since=since)
    limits: dict[str, Any] = {"confidence": params.confidence, "min_rows": params.min_rows}
    versions = {"champion": reference.version, "previous champion": previous}
    compared = {
        "against_release": against_release(own, release=profile.performance, margin=params.margin, **limits),
        "against_previous": against_previous(own, before, **limits),
    }
    for name, these in (("against_release", {"champion": reference.version}), ("against_previous", versions)):
        selection = selection_of(predictions, labels, versions=these)
        if selection["depends"]:
            compared[name] |= {"outcome": "undecided", "why": selection["why"]}
            logger.warning("late labels, %s: %s", name.replace("_", " "), selection["why"])
    return {
        "labels": len(fresh),
        "obtained": count_obtained(fresh),
        "unknown_labels": unknown,
        "previous_version": reference.previous,
        **compared,
    }


def _measure_texts(project: Project, profile: Profile, *, reference: Reference, end: date) -> pd.DataFrame:
    """Return the text columns of the last two weeks, measured on the records, which are read again."""
    from pipelines.live.drift.texts import measure_texts
    from pipelines.models.encoder import Encoder
    from pipelines.models.manifest import Manifest
    from pipelines.stages.ingest.window import read_window

    records, _ = read_window(project, start=end - timedelta(days=TEXT_DAYS), end=end)
    model = reference.profile_folder.parent / "model"
    embed = None
    if len(profile.text.mean) and model.is_dir():
        encoder = model / "encoder"
        folder = encoder if encoder.is_dir() else None
        embed = Encoder.load(Manifest.read(model).encoder, folder=folder, models_folder=project.models_folder).embed
    return measure_texts(records, profile=profile, embed=embed)


def _write_evidently(folder: Path, *, profile: Profile, live: Live, limit: float) -> None:
    """Write Evidently's report; the verdict does not depend on it, so a failure is only logged."""
    import warnings

    from pipelines.live.drift.evidently_report import write_evidently

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Evidently's own, about numpy names that have moved
            write_evidently(profile, live, path=folder / "evidently.html", limit=limit)
    except Exception:  # the library changes often, and this is only a second opinion
        logger.warning("Evidently's report could not be made; the verdict is not affected", exc_info=True)
