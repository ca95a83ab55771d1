"""The scenario's claims: a clean state holds all of them, and each thing missing from it names its claim."""

from copy import deepcopy
from datetime import date

import pytest

from pipelines.live.loop.evidence import State, claims
from pipelines.live.loop.params import Scenario

SCENARIO = Scenario(
    trained_from=date(2025, 7, 7),
    live_from=date(2026, 1, 5),
    drift_from=date(2026, 1, 12),
    max_weeks=10,
    clear_weeks=1,
    request_records=32,
)


def verdict(start: str, end: str, outcome: str, *, version: int = 1) -> dict:
    moved = ["company"] if outcome in ("alert", "breach") else []
    return {
        "key": f"{end}-v{version}",
        "model_version": version,
        "window": {"start": start, "end": end},
        "outcome": outcome,
        "alerts": moved,
        "breaches": moved if outcome == "breach" else [],
        "since": "2026-01-12" if moved else None,
    }


def decision(key: str, *, outcome: str, retrain: bool, end: str) -> dict:
    return {
        "kind": "decision",
        "verdict": key,
        "outcome": outcome,
        "retrain": retrain,
        "key": "abc" if retrain else None,
        "window": {"end": end},
    }


def seen() -> State:
    return State(
        moves=[
            {"action": "release", "from": None, "to": 1, "why": "the first"},
            {"action": "release", "from": 1, "to": 2, "why": "the canary is not worse: 0.0"},
            {"action": "release", "from": 2, "to": 3, "why": "recovered"},
            {"action": "rollback", "from": 3, "to": 2, "why": "wrong answers"},
        ],
        decisions=[
            decision("2026-01-26-v1", outcome="breach", retrain=True, end="2026-01-26"),
            {"kind": "confirmed", "key": "abc", "model_version": 1},
            decision("2026-01-26-v1", outcome="breach", retrain=False, end="2026-01-26"),
        ],
        verdicts=[
            verdict("2026-01-05", "2026-01-12", "steady"),
            verdict("2026-01-12", "2026-01-19", "alert"),
            verdict("2026-01-19", "2026-01-26", "breach"),
            verdict("2026-02-23", "2026-03-02", "steady", version=2),
        ],
        canaries=[{"version": 3, "why": "the canary is worse"}],
        requests=[{"key": "abc", "start": "2025-07-28", "end": "2026-01-26"}],
        windows={
            1: ("2025-07-07", "2026-01-05"),
            2: ("2025-07-28", "2026-01-26"),
            3: ("2025-07-28", "2026-01-26"),
        },
        roles={1: {"champion": 90, "shadow": 10}, 2: {"canary": 10, "shadow": 90}},
        champion=2,
        challenger=None,
    )


def missing(state: State) -> set[str]:
    return {claim.name for claim in claims(state, scenario=SCENARIO) if not claim.held}


def test_a_whole_scenario_holds_every_claim():
    assert missing(seen()) == set()


MUTATIONS = {
    "first champion": lambda s: s.moves[0].update({"from": 9}),
    "quiet weeks": lambda s: s.verdicts[0].update(outcome="breach"),
    "alert": lambda s: s.verdicts[1].update(outcome="steady", alerts=[]),
    "breach": lambda s: s.verdicts[2].update(outcome="alert"),
    "one retraining": lambda s: s.decisions.append({"kind": "confirmed", "key": "def", "model_version": 1}),
    "window from the verdict": lambda s: s.windows.update({2: ("2025-07-07", "2026-01-05")}),
    "canary completed": lambda s: s.roles[2].pop("canary"),
    "drift is clear": lambda s: s.verdicts[3].update(outcome="breach"),
    "bad canary stopped": lambda s: s.canaries.clear(),
    "operator's mistake": lambda s: s.moves.pop(2),
    "rolled back": lambda s: s.moves.pop(3),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_did_not_happen_is_named(name):
    state = deepcopy(seen())
    MUTATIONS[name](state)
    assert name in missing(state)


def test_mutations_cover_every_claim():
    assert {claim.name for claim in claims(seen(), scenario=SCENARIO)} == set(MUTATIONS)


def test_a_quiet_week_that_was_not_measured_is_no_quiet_week():
    state = seen()
    state.verdicts.pop(0)
    assert "quiet weeks" in missing(state)


def test_two_keys_for_one_cause_are_two_retrainings():
    state = seen()
    state.decisions.append(
        {**decision("2026-02-02-v1", outcome="breach", retrain=True, end="2026-02-02"), "key": "other"}
    )
    assert "one retraining" in missing(state)


def test_nothing_at_all_holds_nothing():
    empty = State([], [], [], [], [], {}, {}, None, None)
    assert missing(empty) == set(MUTATIONS)
