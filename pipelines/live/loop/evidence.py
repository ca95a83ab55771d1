"""Claims: what must have happened, checked against the state files, not against the calls that were made."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pipelines.live.loop.params import Scenario

Line = dict[str, Any]


@dataclass(frozen=True)
class State:
    """What the scenario left in its state root and registry."""

    moves: list[Line]  # history.jsonl, its chain checked
    decisions: list[Line]  # decisions.jsonl, its chain checked
    verdicts: list[Line]  # drift/*/verdict.json, by window
    canaries: list[Line]  # canaries.jsonl
    requests: list[Line]  # runs/*/request.json
    windows: dict[int, tuple[str, str]]  # version -> the training window that its package names
    roles: dict[int, dict[str, int]]  # version -> rows in the prediction log by role
    champion: int | None  # where the registry's aliases point
    challenger: int | None


@dataclass(frozen=True)
class Claim:
    """One thing that must have happened, whether the state files show it, and what they contain."""

    name: str
    held: bool
    seen: str


def claims(state: State, *, scenario: Scenario) -> list[Claim]:
    """Return every expected event, in order, with whether the state files show it."""
    first = state.moves[0]["to"] if state.moves and state.moves[0]["from"] is None else None
    stopped = [line["version"] for line in state.canaries]
    second = next((m["to"] for m in state.moves[1:] if m["action"] == "release" and m["to"] not in stopped), None)
    second_week = _verdict(state, start=scenario.drift_from + timedelta(days=7))
    return [
        Claim("first champion", first is not None, f"version {first} from none" if first else "history.jsonl has none"),
        _quiet(state, scenario=scenario),
        _alert(state, scenario=scenario),
        Claim("breach", second_week.get("outcome") == "breach", _outcome(second_week)),
        _one_retraining(state, key=second_week.get("key")),
        _window(state, version=_challenger(state, first=first, stopped=stopped)),
        _canary(state, first=first, second=second),
        _clear(state, version=second, weeks=scenario.clear_weeks),
        *_bad(state, second=second, stopped=stopped),
    ]


def _challenger(state: State, *, first: int | None, stopped: list[int]) -> int | None:
    return next((version for version in sorted(state.windows) if version != first and version not in stopped), None)


def _quiet(state: State, *, scenario: Scenario) -> Claim:
    quiet = [v for v in state.verdicts if v["window"]["end"] <= scenario.drift_from.isoformat()]
    breached = [v["key"] for v in quiet if v["outcome"] == "breach"]
    weeks = (scenario.drift_from - scenario.live_from).days // 7
    held = len(quiet) == weeks and not breached and all(v["outcome"] != "undecided" for v in quiet)
    return Claim("quiet weeks", held, f"{len(quiet)} of {weeks} measured, breaches: {', '.join(breached) or 'none'}")


def _alert(state: State, *, scenario: Scenario) -> Claim:
    found = _verdict(state, start=scenario.drift_from)
    return Claim("alert", bool(found.get("alerts")), _outcome(found))


def _one_retraining(state: State, *, key: str | None) -> Claim:
    asked = [d for d in state.decisions if d["kind"] == "decision" and d["retrain"]]
    keys = {d["key"] for d in asked}
    started = [d for d in state.decisions if d["kind"] == "confirmed"]
    again = [d for d in state.decisions if d["kind"] == "decision" and d["outcome"] == "breach" and not d["retrain"]]
    held = len(keys) == len(started) == len(state.requests) == 1 and bool(asked) and asked[0]["verdict"] == key
    held = held and started[0]["key"] in keys and state.requests[0]["key"] in keys and bool(again)
    seen = f"{len(asked)} decision(s) to retrain, {len(keys)} key(s), {len(started)} run(s) started; "
    return Claim("one retraining", held, seen + f"{len(again)} later decision(s) on a breach started none")


def _window(state: State, *, version: int | None) -> Claim:
    if version is None or not state.requests:
        return Claim("window from the verdict", False, "no retrained version was registered")
    trained, wanted = state.windows[version], (state.requests[0]["start"], state.requests[0]["end"])
    asked = next((d["window"]["end"] for d in state.decisions if d.get("retrain")), None)
    held = trained == wanted and wanted[1] == asked
    return Claim("window from the verdict", held, f"version {version} was trained on [{trained[0]}, {trained[1]})")


def _canary(state: State, *, first: int | None, second: int | None) -> Claim:
    if second is None:
        return Claim("canary completed", False, "no second version became champion")
    move = next(m for m in state.moves if m["to"] == second)
    roles = state.roles.get(second, {})
    held = move["from"] == first and "not worse" in move["why"] and all(roles.get(r, 0) for r in ("shadow", "canary"))
    rows = ", ".join(f"{count} as {role}" for role, count in roles.items())
    return Claim("canary completed", held, f"version {second}: {move['why']}; answers: {rows or 'none'}")


def _clear(state: State, *, version: int | None, weeks: int) -> Claim:
    own = [v for v in state.verdicts if v["model_version"] == version]
    breached = [v["key"] for v in own if v["outcome"] in ("breach", "undecided")]
    seen = f"{len(own)} week(s) against the profile of version {version}, breaches: {', '.join(breached) or 'none'}"
    return Claim("drift is clear", version is not None and len(own) >= weeks and not breached, seen)


def _bad(state: State, *, second: int | None, stopped: list[int]) -> list[Claim]:
    bad = stopped[-1] if stopped else None
    why = state.canaries[-1]["why"] if stopped else "canaries.jsonl has no line"
    forced = [m for m in state.moves if bad is not None and m["to"] == bad]
    last = state.moves[-1] if state.moves else {}
    back = last.get("action") == "rollback" and last.get("from") == bad and last.get("to") == second is not None
    return [
        Claim("bad canary stopped", bad is not None and state.challenger is None, f"version {bad}: {why}"),
        Claim("operator's mistake", bool(forced), f"version {bad} was champion {len(forced)} time(s)"),
        Claim(
            "rolled back",
            bool(back) and state.champion == second and bool(last.get("why")),
            f"champion is version {state.champion}; {last.get('action', 'no move')}: {last.get('why', 'no reason')}",
        ),
    ]


def _verdict(state: State, *, start: Any) -> Line:
    return next((v for v in state.verdicts if v["window"]["start"] == start.isoformat()), {})


def _outcome(verdict: Line) -> str:
    if not verdict:
        return "that week was not measured"
    names = ", ".join(verdict["breaches"] or verdict["alerts"]) or "no column"
    return f"{verdict['outcome']} in the week of {verdict['window']['start']}: {names}, since {verdict['since']}"
