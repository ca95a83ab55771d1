"""The scenario, week by week; every reported event is a real one, read from the registry or a verdict."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.live.loop import live
from pipelines.live.loop.fault_injection import register_faulty_version
from pipelines.live.loop.live import Live
from pipelines.live.loop.params import Scenario
from pipelines.live.loop.training import train
from pipelines.live.release.moves import rollback
from pipelines.live.release.registry import CHALLENGER, CHAMPION, Registry
from pipelines.runtime.project import Project

if TYPE_CHECKING:
    from collections import Counter

REASON = "made champion by hand, bypassing gates and canary; its answers are wrong"


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    day: date  # on simulated time
    name: str
    what: str
    champion: int | None
    challenger: int | None


@dataclass
class ScenarioRun:
    """Plays the scenario and keeps its events."""

    scenario: Scenario
    project: Project  # the separate checkout
    report: Callable[[str], None]  # shows one line of progress
    events: list[Event] = field(default_factory=list)
    _registry: Registry | None = None
    _live: Live | None = None
    _day: date = date.min
    _retrained: int | None = None  # the version that was trained because of drift
    _bad: int | None = None  # the faulty version
    _clear: int = 0  # weeks without a breach against the retrained version's profile
    _over: bool = False  # the rollback happened
    _stuck: bool = False  # an expected event did not happen, and everything after depends on it

    def play(self) -> None:
        """Train the first champion, then play the weeks until every event has happened or the weeks are over."""
        self._day = self.scenario.live_from
        self._train(
            start=self.scenario.trained_from, end=self.scenario.live_from, why="the first champion", log="first"
        )
        self._registry = Registry.open(self.project)
        self._live = Live(self.project)
        self.record("first champion", f"version {self._registry.alias(CHAMPION)} is released: the registry had none")
        for start, end in self.scenario.weeks():
            self._day = end
            self._week(start, end)
            if self._stuck or (self._over and self._clear >= self.scenario.clear_weeks):
                return

    def record(self, name: str, what: str) -> None:
        """Keep an event of the timeline and show it."""
        champion = challenger = None
        if self._registry is not None:
            champion, challenger = self._registry.alias(CHAMPION), self._registry.alias(CHALLENGER)
        self.events.append(Event(self._day, name, what, champion, challenger))
        self.report(f"{self._day}  {name}: {what}")

    def _week(self, start: date, end: date) -> None:
        registry, now = self._known()
        if registry.alias(CHALLENGER) is None:
            scored = now.score(start, end)
            traffic = f"{scored['records']} records scored by version {scored['model_version']}"
        else:
            answered = now.serve(start, end, request_records=self.scenario.request_records)
            traffic = f"{sum(answered.values())} requests answered by {_by_version(answered)}"
        labels = now.labels(end, live_from=self.scenario.live_from)
        self.report(f"{end}  week of {start}: {traffic}; {labels} late labels arrived")
        if registry.alias(CHALLENGER) is not None:
            self._evaluate_canary(end)
        elif self._bad is not None and not self._over:
            self._mistake_and_rollback(end)
        self._measure(start, end)
        if self._retrained is not None and registry.alias(CHAMPION) == self._retrained and self._bad is None:
            self._register_bad()

    def _evaluate_canary(self, today: date) -> None:
        """Evaluate the canary once and record what it led to."""
        registry, now = self._known()
        tried = registry.alias(CHALLENGER)
        result = now.evaluate_canary(today)
        if result["state"] == "running":
            self.report(f"{today}  canary of version {tried}: {result['pairs']} labeled pairs, still running")
        elif result["state"] == "completed":
            self.record("canary completed", f"version {tried} is champion: {result['reason']}")
        elif result["state"] == "stopped":
            self.record("canary stopped", f"version {tried} is withdrawn: {result['reason']}")
            self._stuck = tried != self._bad

    def _measure(self, start: date, end: date) -> None:
        """Measure the week against the champion's profile, decide, and act on the decision."""
        verdict = live.measure(self.project, start, end)
        decision = live.decide(self.project, verdict)
        columns = ", ".join(verdict["breaches"] or verdict["alerts"])
        against = f"against the profile of version {verdict['model_version']}"
        if verdict["outcome"] in ("breach", "alert"):
            self.record(
                verdict["outcome"],
                f"{columns or 'labels'} {against}; decided: {decision['action']} ({decision['reason']})",
            )
        else:
            self.report(f"{end}  drift: {verdict['outcome']} {against}; decided: {decision['action']}")
        if verdict["model_version"] == self._retrained:
            self._clear += 1
            if self._clear == self.scenario.clear_weeks and verdict["outcome"] != "breach":
                self.record(
                    "drift is clear", f"{self._clear} week(s) without a breach against version {self._retrained}"
                )
        if decision["retrain"]:
            self._retrain(verdict, decision)

    def _retrain(self, verdict: dict[str, Any], decision: dict[str, Any]) -> None:
        """Begin the run of the decision's key once, however often it is requested."""
        end = date.fromisoformat(decision["request"]["end"])
        request = {**decision["request"], "start": (end - timedelta(days=self._window_days())).isoformat()}
        if self._retrained is not None or not live.begin_run(self.project.state, request):
            self.record("retraining requested again", f"key {decision['key']}: no further run is started")
            return
        # Another scheduler decides before the trigger of the first one is recorded.
        twin = live.decide(self.project, verdict, minutes_later=1)
        if twin["retrain"] and live.begin_run(self.project.state, {**request, "key": twin["key"]}):
            self.record("second retraining", f"key {twin['key']}: one cause must have one key")
        run_id = f"drift__{decision['key']}"
        live.confirm(self.project, decision["key"], run_id=run_id, now=live.morning(end) + timedelta(minutes=2))
        self.record("retraining", f"run {run_id} on [{request['start']}, {request['end']})")
        began = time.monotonic()
        self._train(start=date.fromisoformat(request["start"]), end=end, why=decision["reason"], log="retrained")
        minutes = round((time.monotonic() - began) / 60, 2)
        ended = live.morning(end) + timedelta(hours=1)
        self._retrained = self._known()[0].alias(CHALLENGER)
        live.settle(self.project, decision["key"], run_id=run_id, released=self._retrained, minutes=minutes, now=ended)
        again = live.decide(self.project, verdict, minutes_later=90)
        self.record("decided again", f"the same verdict, after the run: {again['action']}, {again['reason']}")
        self._stuck = self._retrained is None
        if self._retrained is not None:
            self.record("challenger", f"version {self._retrained} receives traffic; its canary decides")

    def _register_bad(self) -> None:
        registry, now = self._known()
        champion = registry.alias(CHAMPION)
        if champion is None:
            return
        self._bad = register_faulty_version(
            registry, of=champion, schema=now.service.domain.schema, project=self.project
        )
        registry.move_alias(CHALLENGER, self._bad)
        self.record(
            "bad challenger", f"version {self._bad}, registered by hand, bypassing the gates; its answers are wrong"
        )

    def _mistake_and_rollback(self, today: date) -> None:
        """Point the champion alias at the faulty version, serve a day with it, and roll back with one command."""
        registry, now = self._known()
        if self._bad is None:
            return
        registry.move_alias(CHAMPION, self._bad)
        self.record("operator's mistake", f"the champion alias was moved by hand to version {self._bad}")
        answered = now.serve(today, today + timedelta(days=1), request_records=self.scenario.request_records)
        self.report(f"{today}  {sum(answered.values())} requests answered by {_by_version(answered)}")
        done = rollback(registry, reason=REASON)
        now.service.models.refresh()
        self.record("rolled back", f"version {done['version']} is champion again: {done['reason']}")
        self._over = True

    def _train(self, *, start: date, end: date, why: str, log: str) -> None:
        self.report(f"{self._day}  training on [{start}, {end}): {why}")
        folder = self.project.state / "logs"
        decision = train(self.project, start=start, end=end, log=folder / f"{log}.log", report=self.report, why=why)
        self.record("decision", f"{decision['action']}: {decision['reason']}")

    def _window_days(self) -> int:
        return int(self.project.parameters.section("ingest")["window_days"])

    def _known(self) -> tuple[Registry, Live]:
        if self._registry is None or self._live is None:
            raise RuntimeError("no champion has been trained yet")
        return self._registry, self._live


def _by_version(answered: "Counter[int]") -> str:
    return ", ".join(f"version {version} ({count})" for version, count in sorted(answered.items()))
