"""The drift commands on the registered model's live state: read, call, write, under one lock."""

import contextlib
import fcntl
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.live.drift import ledger
from pipelines.live.drift.params import DriftParams
from pipelines.live.release.params import ReleaseParams
from pipelines.monitoring.live_state import live_folder
from pipelines.runtime.errors import InputError, ParamsError, StoreError
from pipelines.runtime.params import PARAMS_FILE
from pipelines.runtime.project import Project
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def only_one(live: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock of all drift commands; a second waits, then says so. It falls with its process."""
    path = live / "drift" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreError(
                        f"another drift run has held {path} for more than {seconds:g} s; nothing was done, run again"
                    ) from None
                time.sleep(0.1)
        yield


def measure(
    project: Project,
    *,
    start: date,
    end: date,
    version: int | None,
    previous: int | None,
    profile_folder: Path | None,
    now: datetime,
    texts: bool,
    evidently: bool,
) -> dict[str, Any]:
    """Write `drift/<key>/verdict.json`, `drift.html` and `evidently.html` of the week before `end`."""
    from pipelines.live.drift.live import count_live
    from pipelines.live.drift.verdict import make_verdict
    from pipelines.monitoring import predictions as log
    from pipelines.profile.profile import Profile
    from pipelines.records.domain import Domain

    params, schema = project.section("drift", DriftParams), Domain(project.domain_folder).schema
    live_at = live_folder(project)
    if start >= end:
        raise InputError(f"window [{start}, {end}) is empty: start before end would be right")
    if datetime(end.year, end.month, end.day, tzinfo=UTC) > now:
        raise InputError(f"window [{start}, {end}) ends after now ({now:%Y-%m-%d %H:%M} UTC): it is not over yet")
    version, previous, folder, digest = _version(project, version, previous=previous, profile_folder=profile_folder)
    profile = Profile.read(folder)
    profile.refuse_other(domain=schema.name, model_digest=digest)
    with only_one(live_at, seconds=params.lock_seconds):
        n_days = 7 * params.alarm.trend_weeks
        rows = log.read_predictions(live_at, start=end - timedelta(days=n_days), end=end)
        measured = _texts(project, profile, folder=folder, end=end) if texts else None
        live = count_live(rows, profile=profile, model_version=version, end=end, n_days=n_days, texts=measured)
        verdict = make_verdict(
            profile,
            live,
            model_version=version,
            start=start,
            end=end,
            alarm=params.alarm,
            upstream=params.upstream,
            concept=_concept(
                live_at,
                profile,
                version=version,
                previous=previous,
                end=end,
                delay=schema.gold_delay_days,
                params=params,
            ),
            rejected=[],
            scored=log.days_scored(live_at, before=end),
            moved_since=ledger.Account.read(live_at).answered(profile.end),
        )
        place = live_at / "drift" / verdict["key"]
        write_atomic(place / "verdict.json", to_json(verdict))
        _write_page(place, verdict, decision=None, params=params)
        if evidently and len(live.frame):
            _write_evidently(place, profile=profile, live=live, limit=params.alarm.breach_excess)
    logger.info("%s: %s; %s", verdict["key"], verdict["outcome"], place / "drift.html")
    return summary(verdict, place=place)


def decide(project: Project, key: str | None, *, now: datetime) -> dict[str, Any]:
    """Walk the tree for a verdict, record what it says, and show it on the page."""
    from pipelines.live.drift.decide import decide as walk

    params, live = project.section("drift", DriftParams), live_folder(project)
    with only_one(live, seconds=params.lock_seconds):
        place = live / "drift" / (key or _latest(live))
        verdict = read_verdict(place / "verdict.json")
        account = ledger.Account.read(live)
        trial = _in_trial(project, verdict, account=account)
        made = walk(verdict, account=account, params=params.decision, owner=_owner(project), now=now, trial=trial)
        recorded = ledger.record_decision(made, account=account)
        write_atomic(place / "decision.json", to_json(recorded))
        _write_page(place, verdict, decision=recorded, params=params)
    logger.info("%s: %s: %s", verdict["key"], recorded["action"], recorded["reason"])
    return recorded


def confirm(project: Project, key: str, *, run_id: str, now: datetime) -> dict[str, Any]:
    """Record that the retraining of a key was triggered: from now on the cooldown counts."""
    if not run_id:
        raise InputError("--confirm needs --run-id: the run that was triggered")
    params, live = project.section("drift", DriftParams), live_folder(project)
    with only_one(live, seconds=params.lock_seconds):
        account = ledger.Account.read(live)
        return ledger.confirm(key, run_id=run_id, now=now, minutes=params.decision.retrain_minutes, account=account)


def settle(project: Project, key: str, *, minutes: float, now: datetime) -> dict[str, Any]:
    """Record what a retraining took."""
    live = live_folder(project)
    with only_one(live, seconds=project.section("drift", DriftParams).lock_seconds):
        return ledger.settle(key, minutes=minutes, now=now, account=ledger.Account.read(live))


def approve(project: Project, *, minutes: float, month: str | None, who: str, now: datetime) -> dict[str, Any]:
    """Approve more minutes."""
    live = live_folder(project)
    with only_one(live, seconds=project.section("drift", DriftParams).lock_seconds):
        return ledger.approve(live, minutes=minutes, month=month or now.strftime("%Y-%m"), who=who, now=now)


def audit(project: Project, *, training: Path, start: date, end: date) -> dict[str, Any]:
    """The feedback check of training rows; InputError names the file that cannot be read."""
    import pandas as pd

    from pipelines.monitoring.feedback import feedback_between
    from pipelines.runtime.errors import GateClosed

    try:
        rows = pd.read_parquet(training, columns=["id", "label"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{training} is no parquet with the columns id and label: {error}") from None
    max_share = project.section("release", ReleaseParams).max_self_labeled_share
    check = feedback_between(live_folder(project), rows, start=start, end=end, max_share=max_share)
    if check.closes:
        raise GateClosed(f"feedback loop: {check.sentence}; at most {check.limit:.0%} may")
    return {"check": check.name, "share": check.value, "rows": check.rows, "outcome": check.outcome}


def read_verdict(path: Path) -> dict[str, Any]:
    """A verdict whose digest fits its content."""
    try:
        verdict: dict[str, Any] = json.loads(path.read_bytes())
        rest = {name: value for name, value in verdict.items() if name != "digest"}
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `python -m pipelines.live.drift measure` first") from None
    except (ValueError, AttributeError):
        raise InputError(f"{path} is no verdict: measure that week again") from None
    if digest != verdict.get("digest"):
        raise InputError(f"{path}: its digest does not fit its content, someone edited it; measure that week again")
    return verdict


def summary(verdict: dict[str, Any], *, place: Path) -> dict[str, Any]:
    """What a scheduler needs of a verdict."""
    return {
        "key": verdict["key"],
        "verdict": str(place / "verdict.json"),
        "page": str(place / "drift.html"),
        "outcome": verdict["outcome"],
        "model_version": verdict["model_version"],
        "window": verdict["window"],
        "breaches": verdict["breaches"],
        "alerts": verdict["alerts"],
        "upstream_broken": [c["name"] for c in verdict["upstream"]["checks"] if c["outcome"] == "failed"],
        "columns": sorted(verdict["columns"]),
    }


def _owner(project: Project) -> str:
    """`params.yaml: owner`: whom alerts and pages name."""
    owner = project.parameters.ours.get("owner")
    if not isinstance(owner, str) or not owner:
        raise ParamsError(f"{PARAMS_FILE}: owner = {owner!r}; an address that alerts reach would be right")
    return owner


def _latest(live: Path) -> str:
    """Key of the verdict that was measured last, whatever week it is about."""
    verdicts = sorted((live / "drift").glob("*/verdict.json"), key=lambda file: (file.stat().st_mtime_ns, file))
    if not verdicts:
        raise InputError(f"no verdict in {live / 'drift'}: run `python -m pipelines.live.drift measure` first")
    return verdicts[-1].parent.name


def _version(
    project: Project, version: int | None, *, previous: int | None, profile_folder: Path | None
) -> tuple[int, int | None, Path, str | None]:
    """The version, the one before it, the folder of its profile, and the digest that its model must have."""
    from pipelines.live.release.package import read_manifest
    from pipelines.live.release.registry import CHAMPION, PREVIOUS, Registry

    if profile_folder is not None and version is not None:
        manifest = profile_folder.parent / "manifest.json"
        digest = json.loads(manifest.read_bytes())["model_digest"] if manifest.is_file() else None
        return version, previous, profile_folder, digest
    registry = Registry.open(project)
    version = version if version is not None else registry.alias(CHAMPION)
    if version is None:
        raise InputError(f"{registry.model_name} has no champion yet: release one first (make demo)")
    package = registry.package(version)
    if previous is None and version == registry.alias(CHAMPION):
        previous = registry.alias(PREVIOUS)
    return version, previous, profile_folder or package / "profile", str(read_manifest(package)["model_digest"])


def _in_trial(project: Project, verdict: dict[str, Any], *, account: ledger.Account) -> int | None:
    """The challenger beside the verdict's champion, asked for where a retraining was begun for that one already."""
    version = int(verdict["model_version"])
    if verdict["outcome"] != "breach" or not account.attempts(version):
        return None
    from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry

    registry = Registry.open(project)
    return registry.alias(CHALLENGER) if registry.alias(CHAMPION) == version else None


def _concept(
    live: Path, profile: Any, *, version: int, previous: int | None, end: date, delay: int, params: DriftParams
) -> dict[str, Any]:
    from pipelines.live.drift.concept import against_previous, against_release, join_labels
    from pipelines.monitoring import predictions as log

    parameters = params.concept
    labels = log.read_labels(live, start=end - timedelta(days=parameters.label_days), end=end)
    result: dict[str, Any] = {"labels": len(labels), "unknown_labels": 0, "previous_version": previous}
    # A label comes late: what it labels was received up to twice the stated delay before.
    asked = log.read_predictions(live, start=end - timedelta(days=parameters.label_days + 2 * delay + 7), end=end)
    own, unknown = join_labels(asked, labels, model_version=version)
    result["unknown_labels"] = unknown
    if unknown:
        logger.warning("%d of %d labels are of records that were never predicted; left out", unknown, len(labels))
    result["against_release"] = against_release(
        own,
        release=profile.performance,
        margin=parameters.margin,
        confidence=parameters.confidence,
        min_rows=parameters.min_rows,
    )
    before, _ = join_labels(asked, labels, model_version=-1 if previous is None else previous)
    result["against_previous"] = against_previous(
        own, before, confidence=parameters.confidence, min_rows=parameters.min_rows
    )
    return result


def _texts(project: Project, profile: Any, *, folder: Path, end: date) -> Any:
    """The text columns of the last two weeks, measured on the records read again."""
    from pipelines.live.drift.texts import measure_texts
    from pipelines.live.score.window import read_window
    from pipelines.models.encoder import Encoder
    from pipelines.models.manifest import Manifest

    records, _ = read_window(project.root, start=end - timedelta(days=14), end=end)
    model = folder.parent / "model"
    embed = None
    if len(profile.text.mean) and model.is_dir():
        encoder = model / "encoder"
        embed = Encoder.load(Manifest.read(model).encoder, folder=encoder if encoder.is_dir() else None).embed
    return measure_texts(records, profile=profile, embed=embed)


def _write_page(place: Path, verdict: dict[str, Any], *, decision: dict[str, Any] | None, params: DriftParams) -> None:
    from pipelines.reporting.drift_page import drift_page

    limits = {"alert_excess": params.alarm.alert_excess, "breach_excess": params.alarm.breach_excess}
    write_atomic(place / "drift.html", drift_page(verdict, decision=decision, limits=limits).encode())


def _write_evidently(place: Path, *, profile: Any, live: Any, limit: float) -> None:
    import warnings

    from pipelines.live.drift.evidently_report import write_evidently

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Evidently's own, of numpy names that have moved
            write_evidently(profile, live, path=place / "evidently.html", limit=limit)
    except Exception:  # a second look: the verdict stands without it, and its library changes often
        logger.warning("Evidently's report could not be made; the verdict stands", exc_info=True)
