"""The verdict on a live week: every column against the profile's weeks, the feed, and the labels that came late."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Verdict
from pipelines.live.drift.judgement import alerts, judge_weeks, weeks_in_a_row
from pipelines.live.drift.live import Live
from pipelines.live.drift.metrics import chi_square, kolmogorov_smirnov
from pipelines.live.drift.params import AlarmParams, UpstreamParams
from pipelines.live.drift.upstream import nothing_yet, upstream_checks
from pipelines.live.drift.weeks import LEAST_WEEKS, RANK_WEEKS, Scored, draw_weeks, rank_week, undecided_week
from pipelines.profile.profile import Column, Profile
from pipelines.stats.association import jensen_shannon, kendall_trend
from pipelines.stats.histogram import psi, stack

FORMAT = 1
SAME_WEEKS = 0.9  # share of the inputs' weeks that a column needs to be judged together with them
THIN_BELOW = 0.8  # of the reference's median rows: a smaller live week is compared with weeks thinned to its size


@dataclass(frozen=True)
class Family:
    """Columns that are ranked together, and the weeks of the reference on which all of them were measured."""

    columns: tuple[Column, ...]
    weeks: tuple[int, ...]


def measure_columns(
    profile: Profile, live: Live, *, params: AlarmParams, moved_since: date | None = None
) -> dict[str, dict[str, Any]]:
    """What is known of each column of the profile in the live week, by name.

    `moved_since`: first day of the drift that the profile's model was trained for, where it was trained for one.
    """
    moved = (profile.end - moved_since).days // 7 if moved_since else 0
    found: dict[str, dict[str, Any]] = {}
    for family in families(profile, live, most_weeks=params.most_weeks, min_rows=params.min_rows):
        found |= _measure_family(family, profile=profile, live=live, params=params, moved=moved)
    for column in profile.columns:
        if column.name not in found:
            found[column.name] = _blank(column, why="it is not in the predictions of these days")
    return {column.name: found[column.name] for column in profile.columns}


def families(profile: Profile, live: Live, *, most_weeks: int, min_rows: int) -> list[Family]:
    """The inputs and whatever was measured in nearly the same weeks together; the rest by the weeks they have."""
    n_weeks = min(profile.n_weeks, most_weeks)
    by_weeks: dict[tuple[int, ...], list[Column]] = {}
    for column in profile.columns:
        if column.name in live.counts:
            rows = column.counts[profile.n_days - 7 * n_weeks :].reshape(n_weeks, 7, -1).sum(axis=(1, 2))
            usable = tuple(int(week) for week in np.flatnonzero(rows >= min_rows))
            by_weeks.setdefault(usable, []).append(column)
    ordered = sorted(by_weeks.items(), key=lambda item: (-len(item[0]), item[0]))
    made: list[Family] = []
    for weeks, columns in ordered:
        if made:
            common = tuple(sorted(set(weeks) & set(made[0].weeks)))
            if len(common) >= max(RANK_WEEKS, SAME_WEEKS * len(made[0].weeks)):
                made[0] = Family((*made[0].columns, *columns), common)
                continue
        made.append(Family(tuple(columns), weeks))
    return made


def _measure_family(
    family: Family, *, profile: Profile, live: Live, params: AlarmParams, moved: int
) -> dict[str, dict[str, Any]]:
    reference, mask = stack([column.counts for column in family.columns])
    n_weeks = min(profile.n_weeks, params.most_weeks)
    by_day = reference[profile.n_days - 7 * n_weeks :].reshape(n_weeks, 7, *reference.shape[1:])[list(family.weeks)]
    current, _ = stack([live.counts[column.name] for column in family.columns])
    moved = sum(week >= n_weeks - moved for week in family.weeks)
    turn = (live.first_day + timedelta(days=live.n_days) - profile.end).days % 7  # the same weekdays side by side
    weeks_ago = [current[live.n_days - 7 * (ago + 1) : live.n_days - 7 * ago] for ago in range(live.n_days // 7)]
    scored = [
        score_live(by_day, np.roll(week, turn, axis=0), mask=mask, params=params, moved=moved)
        if week.sum(axis=(0, 2)).max() >= params.min_rows
        else undecided_week(by_day.sum(axis=1), week.sum(axis=0), mask=mask)
        for week in weeks_ago
    ]
    enough = [week.sum(axis=(0, 2)) >= params.min_rows for week in weeks_ago]
    now, before = scored[0], scored[1] if len(scored) > 1 else None
    rules = {"optimistic_p": params.optimistic_p}
    alert, breach = judge_weeks(
        now, before, alert_excess=params.alert_excess, breach_excess=params.breach_excess, **rules
    )
    alert &= enough[0]
    breach &= enough[0] & (enough[1] if len(enough) > 1 else False)
    if now.method == "optimistic":
        # Predictions are kept of rows not trained on, which are no sample of all rows: with few weeks besides, that is
        # too little to retrain on.
        breach &= np.array([column.source != "prediction" for column in family.columns])
    runs = weeks_in_a_row(
        [alerts(week, excess=params.alert_excess, **rules) & ok for week, ok in zip(scored, enough, strict=True)]
    )
    total = by_day.sum(axis=(0, 1))
    history = np.array([psi(total, week.sum(axis=0), mask=mask) for week in weeks_ago[::-1]])
    asked = np.array(enough[::-1])
    end = live.first_day + timedelta(days=live.n_days)
    last_year = week_of_last_year(profile, end=end)
    found = {}
    for index, column in enumerate(family.columns):
        bins = column.bins.n_bins
        week, ref = weeks_ago[0].sum(axis=0)[index, :bins], total[index, :bins]
        year = None if last_year is None else column.counts[last_year : last_year + 7].sum(axis=0)
        tau, p_trend = kendall_trend(history[asked[:, index], index])
        method = now.method if enough[0][index] else "undecided"
        rows = int(week.sum())
        found[column.name] = {
            "kind": column.kind,
            "source": column.source,
            "outcome": "breach" if breach[index] else "alert" if alert[index] else _quiet(method),
            "method": method,
            "why": _why(method, rows=rows, n_weeks=now.n_weeks, min_rows=params.min_rows),
            "rows": rows,
            "reference_rows": int(ref.sum()),
            "n_weeks": now.n_weeks,
            "psi": _number(now.psi[index]),
            "median": _number(now.median[index]),
            "excess": _number(now.excess[index]),
            "score": _number(now.score[index]),
            "rank": int(now.rank[index]) if method != "undecided" else None,
            "p": _number(now.p[index]) if method != "undecided" else None,
            "alert": bool(alert[index]),
            "breach": bool(breach[index]),
            "since": (end - timedelta(days=7 * int(runs[index]))).isoformat() if runs[index] else None,
            "weeks_in_a_row": int(runs[index]),
            "missing_share": _share(week, -1),
            "unseen_share": _share(week, -2),
            "reference_missing_share": _share(ref, -1),
            "bins": {
                "labels": list(column.bins.labels),
                "reference": [int(count) for count in ref],
                "live": [int(count) for count in week],
            },
            "opinions": second_opinions(column, live, week=week, reference=ref, params=params),
            "history": [
                _number(value) if ok else None for value, ok in zip(history[:, index], asked[:, index], strict=True)
            ],
            "slow": {
                "weeks": int(asked[:, index].sum()),
                "tau": _number(tau),
                "p": _number(p_trend),
                "drifting": bool(
                    p_trend < params.alpha
                    and now.excess[index] > params.alert_excess / 2
                    and is_slope(history[asked[:, index], index])
                ),
            },
            "last_year_psi": _number(psi(year, week)) if year is not None and year.sum() >= params.min_rows else None,
        }
    return found


def score_live(
    by_day: NDArray[np.int64],
    week: NDArray[np.int64],
    *,
    mask: NDArray[np.bool_],
    params: AlarmParams,
    moved: int = 0,
) -> Scored:
    """Score a live week (7, columns, bins) against reference weeks (K, 7, columns, bins): by rank from 26 weeks on."""
    n_weeks = len(by_day)
    live = week.sum(axis=0)
    if n_weeks < LEAST_WEEKS:
        return undecided_week(by_day.sum(axis=1), live, mask=mask)
    generator = np.random.default_rng([n_weeks, int(live.sum())])
    if n_weeks < RANK_WEEKS:
        return draw_weeks(
            by_day.reshape(-1, *by_day.shape[2:]), week, mask=mask, draws=params.draws, generator=generator
        )
    return rank_week(thin(by_day.sum(axis=1), live, generator=generator), live, mask=mask, moved=moved)


def thin(weeks: NDArray[np.int64], live: NDArray[np.int64], *, generator: np.random.Generator) -> NDArray[np.int64]:
    """Reference weeks with no more rows than the live one, drawn without replacement.

    PSI grows as rows get fewer: a live week half the size of the others would outrank them without any drift.
    """
    rows = live.sum(axis=1)
    totals = weeks.sum(axis=2)
    small = rows < THIN_BELOW * np.median(totals, axis=0)
    if not small.any():
        return weeks
    thinned = weeks.copy()
    for column in np.flatnonzero(small):
        for week in range(len(weeks)):
            if totals[week, column] > rows[column]:
                counts = weeks[week, column]
                thinned[week, column] = generator.multivariate_hypergeometric(counts, rows[column])
    return thinned


def is_slope(distances: NDArray[np.float64]) -> bool:
    """Whether a rise is spread over the weeks: no single step (of the root of PSI, as shifts go) is half of it."""
    steps = np.diff(np.sqrt(np.maximum(distances, 0)))
    return bool(len(steps) and steps.max() <= steps.sum() / 2)


def week_of_last_year(profile: Profile, *, end: date) -> int | None:
    """Where the week 52 weeks before the live one begins in the profile, or None when it is not in it."""
    first = (end - timedelta(days=7 + 364) - profile.first_day).days
    return first if 0 <= first <= profile.n_days - 7 else None


def second_opinions(
    column: Column, live: Live, *, week: NDArray[np.int64], reference: NDArray[np.int64], params: AlarmParams
) -> dict[str, Any]:
    """What the tests that others use say of the column: shown, never acted on."""
    opinions: dict[str, Any] = {"jensen_shannon": _number(jensen_shannon(reference, week))}
    if column.kind == "number" and len(column.sketch):
        values = pd.to_numeric(
            live.values(column.name, first=live.n_days - 7, last=live.n_days), errors="coerce"
        ).to_numpy(dtype=np.float64, na_value=np.nan)
        opinion = kolmogorov_smirnov(
            column.sketch,
            values[np.isfinite(values)],
            rows=int(reference[:-2].sum()),
            alpha=params.alpha,
            least_effect=params.least_effect,
        )
        opinions["kolmogorov_smirnov"] = {k: _number(v) for k, v in asdict(opinion).items()}
    else:
        opinion = chi_square(reference, week, alpha=params.alpha, least_effect=params.least_effect)
        opinions["chi_square"] = {k: _number(v) for k, v in asdict(opinion).items()}
    return opinions


def make_verdict(
    profile: Profile,
    live: Live,
    *,
    model_version: int,
    start: date,
    end: date,
    alarm: AlarmParams,
    upstream: UpstreamParams,
    concept: dict[str, Any],
    rejected: Sequence[str],
    scored: Sequence[date],
    moved_since: date | None = None,
) -> dict[str, Any]:
    """The content of `verdict.json`: a function of the profile, what it was made for and the rows, no clock in it."""
    columns = measure_columns(profile, live, params=alarm, moved_since=moved_since)
    checks = upstream_checks(profile, live, **upstream.model_dump(), min_rows=alarm.min_rows, scored=scored)
    feed = Verdict.of("upstream", checks)
    too_little = nothing_yet(scored, end=end)
    if (end - start).days < 7 and not too_little:
        too_little = f"the window holds {(end - start).days} days: a week is compared with weeks"
    if too_little:
        for facts in columns.values():
            facts |= {"outcome": "undecided", "method": "undecided", "alert": False, "breach": False, "since": None}
            facts["why"] = too_little
    breaches = [name for name, facts in columns.items() if facts["breach"]]
    alerting = [name for name, facts in columns.items() if facts["alert"]]
    inputs = [facts for facts in columns.values() if facts["source"] == "input"]
    decided = any(facts["method"] != "undecided" for facts in inputs or columns.values())
    worse = concept["against_release"]["outcome"] == "worse"
    outcome = "breach" if breaches or worse else "alert" if alerting else "steady" if decided else "undecided"
    since = [columns[name]["since"] for name in (breaches or alerting) if columns[name]["since"]]
    body: dict[str, Any] = {
        "format": FORMAT,
        "key": verdict_key(model_version, end=end),
        "domain": profile.domain,
        "model_version": model_version,
        "model_digest": profile.model_digest,
        "profile_digest": profile.digest,
        "window": {"start": start.isoformat(), "end": end.isoformat()},
        "reference": {
            "start": profile.first_day.isoformat(),
            "end": profile.end.isoformat(),
            "weeks": min(profile.n_weeks, alarm.most_weeks),
            "moved_since": moved_since.isoformat() if moved_since else None,
        },
        "rows": int(live.rows[-7:].sum()),
        "rows_by_day": [int(count) for count in live.rows],
        "own_rows": int((live.own & (live.days >= live.n_days - 7)).sum()),
        "outcome": outcome,
        "breaches": breaches,
        "alerts": alerting,
        "undecided": [name for name, facts in columns.items() if facts["method"] == "undecided"],
        "optimistic": [name for name, facts in columns.items() if facts["method"] == "optimistic"],
        "slow": [name for name, facts in columns.items() if facts.get("slow", {}).get("drifting")],
        "since": min(since) if since else None,  # late labels do not tell the day
        "upstream": feed.to_dict(),
        "concept": concept,
        "columns": columns,
        "rejected": list(rejected),
        "nothing_yet": nothing_yet(scored, end=end),
    }
    body["digest"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return body


def verdict_key(model_version: int, *, end: date) -> str:
    """The folder name of a verdict: the window's end first, so that they sort by time."""
    return f"{end.isoformat()}-v{model_version}"


def _blank(column: Column, *, why: str) -> dict[str, Any]:
    return {
        "kind": column.kind,
        "source": column.source,
        "outcome": "undecided",
        "method": "undecided",
        "why": why,
        "rows": 0,
        "psi": None,
        "median": None,
        "excess": None,
        "score": None,
        "rank": None,
        "p": None,
        "alert": False,
        "breach": False,
        "since": None,
        "weeks_in_a_row": 0,
        "reference_rows": int(column.counts.sum()),
        "n_weeks": 0,
        "missing_share": None,
        "unseen_share": None,
        "bins": None,
        "opinions": None,
        "history": [],
        "slow": {"weeks": 0, "tau": None, "p": None, "drifting": False},
        "last_year_psi": None,
    }


def _quiet(method: str) -> str:
    return "undecided" if method == "undecided" else "steady"


def _why(method: str, *, rows: int, n_weeks: int, min_rows: int) -> str:
    if method == "rank":
        return f"ranked among {n_weeks} weeks"
    if method == "optimistic":
        return f"only {n_weeks} weeks of reference: compared with weeks made of single days, which is optimistic"
    if rows < min_rows:
        return f"{rows} rows in the live week; {min_rows} or more decide"
    return f"{n_weeks} weeks of reference with rows enough; {LEAST_WEEKS} or more decide"


def _share(counts: NDArray[np.int64], place: int) -> float | None:
    total = int(counts.sum())
    return round(float(counts[place]) / total, 6) if total else None


def _number(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    number = float(value)
    return round(number, 9) if np.isfinite(number) else None
