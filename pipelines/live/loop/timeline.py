"""The scenario's timeline as a table for the terminal, a drawing, and a JSON file."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipelines.live.loop.evidence import Claim, State
from pipelines.live.loop.params import Scenario
from pipelines.live.loop.scenario import Event
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json

RED, GREY, BLUE, GREEN = "#b3261e", "#6b7280", "#1d4ed8", "#15803d"
UNMARKED = ("decision", "decided again", "alert")  # in the table only: they would crowd the drawing


def show(events: Sequence[Event], claims: Sequence[Claim], *, folder: Path, seconds: float) -> None:
    """Print the timeline, the expected events, and where the results are."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD, title="Timeline, on simulated time", title_justify="left")
    for name in ("day", "event", "champion", "what"):
        table.add_column(name, no_wrap=name == "day")
    for event in events:
        answers = "-" if event.champion is None else f"v{event.champion}"
        answers += "" if event.challenger is None else f" (challenger v{event.challenger})"
        table.add_row(event.day.isoformat(), event.name, answers, Text(event.what))
    console.print(table)
    expected = Table(box=SIMPLE_HEAD, title="Expected events, checked in the state files", title_justify="left")
    for name in ("", "expected", "seen"):
        expected.add_column(name)
    for claim in claims:
        mark = Text("yes", style="green") if claim.held else Text("NO", style="bold red")
        expected.add_row(mark, claim.name, Text(claim.seen))
    console.print(expected)
    console.print(f"Drawing   {folder / 'timeline.svg'}", soft_wrap=True)
    console.print(f"As data   {folder / 'loop.json'}", soft_wrap=True)
    console.print(f"State     {folder / 'home'} (history, decisions, verdicts, predictions, registry)", soft_wrap=True)
    console.print(f"Checkout  {folder / 'checkout'} (code, params and data/ of the last training)", soft_wrap=True)
    pages = sorted((folder / "home" / "live").glob("*/drift/*/drift.html"))
    if pages:
        console.print(f"Read      {pages[-1]} and its neighbors, one page per week", soft_wrap=True)
    console.print(f"Took      {seconds / 60:.1f} minutes", soft_wrap=True)


def write_data(
    file: Path, events: Sequence[Event], claims: Sequence[Claim], *, seconds: float, failure: str | None
) -> None:
    """Write `loop.json`."""
    content: dict[str, Any] = {
        "passed": failure is None and bool(claims) and all(claim.held for claim in claims),
        "failure": failure,
        "seconds": round(seconds, 1),
        "events": [{**asdict(event), "day": event.day.isoformat()} for event in events],
        "claims": [asdict(claim) for claim in claims],
    }
    write_atomic(file, to_json(content))


def draw(events: Sequence[Event], state: State, *, scenario: Scenario, limits: dict[str, float], folder: Path) -> None:
    """Draw `timeline.svg` and `timeline.png`: input drift per week, the versions that answered, and the events."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import dates, pyplot

    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(13, 7.5), sharex=True, height_ratios=[2, 1.6], layout="constrained"
    )
    _draw_weeks(above, state, scenario=scenario, limits=limits)
    _draw_versions(below, events)
    _mark_events(above, below, events)
    below.xaxis.set_major_locator(dates.WeekdayLocator(byweekday=dates.MO, interval=2))
    below.xaxis.set_major_formatter(dates.DateFormatter("%d %b"))
    for kind in ("svg", "png"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=120)
        write_atomic(folder / f"timeline.{kind}", buffer.getvalue())
    pyplot.close(figure)


def _draw_weeks(axes: Any, state: State, *, scenario: Scenario, limits: dict[str, float]) -> None:
    """Draw one dot per week: PSI above its median of the input that drifted most, in the color of the verdict."""
    colors = {"breach": RED, "alert": "#d97706", "steady": GREEN, "undecided": GREY}
    for outcome, color in colors.items():
        found = [verdict for verdict in state.verdicts if verdict["outcome"] == outcome]
        if found:
            days = [_middle(verdict) for verdict in found]
            axes.plot(days, [_largest_excess(verdict) for verdict in found], "o", color=color, label=f"{outcome} week")
    for name, limit in limits.items():
        axes.axhline(limit, color=GREY, linewidth=0.8, linestyle=":" if name == "alert" else "--")
        axes.annotate(f"{name} from {limit}", (1, limit), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.6)  # room for the names of events
    axes.axvline(_number(scenario.drift_from), color=RED, linewidth=1.2)
    axes.annotate(
        "input drift begins", (_number(scenario.drift_from), 0.93), xycoords=("data", "axes fraction"), color=RED
    )
    axes.set_ylabel("PSI above its median,\ninput that drifted most")
    if state.verdicts:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False)
    axes.set_title("A year of a model on simulated time", loc="left")


def _draw_versions(axes: Any, events: Sequence[Event]) -> None:
    """Draw a bar per version: dark while it is champion, light while it is challenger."""
    known = [event for event in events if event.champion is not None]
    if not known:
        return
    ends = [*(event.day for event in known[1:]), known[-1].day + timedelta(days=5)]
    for event, end in zip(known, ends, strict=True):
        width = (end - event.day).days
        for version, color in ((event.champion, BLUE), (event.challenger, "#93c5fd")):
            if version is not None and width:
                axes.barh(f"v{version}", width, left=_number(event.day), height=0.5, color=color)
    axes.set_ylabel("version: dark = champion,\nlight = challenger")
    axes.invert_yaxis()


def _mark_events(above: Any, below: Any, events: Sequence[Event]) -> None:
    shown: dict[date, list[str]] = {}
    seen: set[str] = set()
    for event in events:
        repeated = event.name == "breach" and "breach" in seen
        if event.name not in UNMARKED and not repeated:
            shown.setdefault(event.day, []).append(event.name)
        seen.add(event.name)
    for turn, (day, names) in enumerate(sorted(shown.items())):
        for axes in (above, below):
            axes.axvline(_number(day), color=GREY, linewidth=0.5, alpha=0.6)
        place = (_number(day), 0.9 - 0.12 * (turn % 2))
        above.annotate("\n".join(names), place, xycoords=("data", "axes fraction"), fontsize=8, va="top")


def _largest_excess(verdict: dict[str, Any]) -> float:
    inputs = [facts["excess"] for facts in verdict["columns"].values() if facts["source"] == "input"]
    return max((float(excess) for excess in inputs if excess is not None), default=0.0)


def _middle(verdict: dict[str, Any]) -> float:
    return _number(date.fromisoformat(verdict["window"]["start"])) + 3.5


def _number(day: date) -> float:
    from matplotlib import dates

    return float(dates.date2num(day))
