"""The decision tree, the account that it remembers by, and the budget of minutes."""

import json
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.live.drift import ledger
from pipelines.live.drift.decision_tree import decide, trigger_key
from pipelines.runtime.errors import InputError, StoreError
from tests.factories import drift_toy as toy
from tests.factories.state import live_folder

NOW = datetime(2026, 3, 16, 5, tzinfo=UTC)


def verdict(outcome="breach", *, end="2026-03-16", version=3, since="2026-03-02", columns=("score",), **more):
    found = {
        "key": f"{end}-v{version}",
        "digest": f"digest-{end}-{outcome}",
        "outcome": outcome,
        "window": {"start": "2026-03-09", "end": end},
        "model_version": version,
        "breaches": list(columns) if outcome == "breach" else [],
        "alerts": list(columns) if outcome in ("breach", "alert") else [],
        "since": since,
        "upstream": {"checks": [{"name": "stale", "outcome": "passed", "sentence": "rows came"}]},
        "concept": json.loads(json.dumps(toy.NO_LABELS)),
    }
    return found | more


def ask(found, *, now=NOW, params=toy.DECISION, trial=None):
    account = ledger.Account.read(live_folder())
    made = decide(found, account=account, params=params, owner="ml@example.com", now=now, trial=trial)
    return ledger.record_decision(made, account=account)


def go(decision, *, now=NOW, run_id="run"):
    return ledger.confirm(
        decision["key"], run_id=run_id, now=now, minutes=15, account=ledger.Account.read(live_folder())
    )


def broken(name):
    return {"checks": [{"name": name, "outcome": "failed", "sentence": f"{name} failed"}]}


@pytest.mark.parametrize("name", ["stale", "volume", "columns_gone", "missing_values", "units"])
@pytest.mark.parametrize("outcome", ["breach", "alert", "steady", "undecided"])
def test_a_broken_feed_is_alerted_and_never_retrained_on(name, outcome):
    decision = ask(verdict(outcome, upstream=broken(name)))
    assert decision["action"] == "alert" and decision["alert"] and not decision["retrain"]
    assert name in decision["reason"] and decision["owner"] == "ml@example.com"


def test_a_column_that_persists_without_a_breach_is_paged_for_once_per_cooldown():
    found = verdict("alert", persistent=["predicted_class"], columns=("predicted_class",))
    first = ask(found)
    assert (first["action"], first["branch"], first["retrain"]) == ("page", "persistent", False)
    assert first["columns"] == ["predicted_class"] and ask(found) == first
    later = verdict("alert", persistent=["predicted_class"], end="2026-03-17")
    assert ask(later, now=NOW + timedelta(days=1))["action"] == "nothing"
    other = verdict("alert", persistent=["confidence"], end="2026-03-18")
    assert ask(other, now=NOW + timedelta(days=2))["action"] == "page"
    weeks = verdict("alert", persistent=["predicted_class"], end="2026-04-06")
    assert ask(weeks, now=NOW + timedelta(days=21))["action"] == "page"


@pytest.mark.parametrize("outcome, branch", [("steady", "steady"), ("alert", "alert"), ("undecided", "undecided")])
def test_without_a_breach_nothing_happens(outcome, branch):
    decision = ask(verdict(outcome))
    assert decision["action"] == "nothing" and not decision["retrain"] and decision["branch"] == branch


def test_a_breach_retrains_once():
    decision = ask(verdict())
    assert decision["action"] == "retrain" and decision["key"]
    assert decision["request"] == {"end": "2026-03-16", "key": decision["key"], "reason": decision["reason"]}
    go(decision)
    again = ask(verdict(end="2026-03-17", since="2026-03-03", columns=("score", "state")), now=NOW + timedelta(days=1))
    assert again["action"] == "nothing" and "answered already" in again["reason"]


def test_until_it_is_confirmed_the_same_key_is_proposed_again():
    first = ask(verdict())
    later = [
        ask(verdict(end=f"2026-03-{day}", since=f"2026-03-0{day - 14}", columns=("score", "amount")), now=NOW)
        for day in (15, 16)
    ]
    assert {decision["key"] for decision in (first, *later)} == {first["key"]}


def test_200_breaches_are_one_run():
    keys = set()
    for number in range(200):
        decision = ask(verdict(columns=("score", f"c{number % 7}")), now=NOW + timedelta(minutes=number))
        if decision["retrain"]:
            keys.add(decision["key"])
            go(decision, now=NOW + timedelta(minutes=number))
    assert len(keys) == 1 and len(ledger.Account.read(live_folder()).runs) == 1


def test_after_the_cooldown_the_same_drift_gets_a_new_key():
    first = ask(verdict())
    go(first)
    later = ask(verdict(end="2026-03-31"), now=NOW + timedelta(days=15))
    assert later["action"] == "retrain" and later["key"] != first["key"]


def test_while_the_answer_is_in_trial_the_same_drift_is_answered():
    go(ask(verdict()))
    late = NOW + timedelta(days=40)  # long after the cooldown: labels that decide on a canary come late
    waits = ask(verdict(end="2026-04-25"), now=late, trial=4)
    assert waits["action"] == "nothing" and waits["branch"] == "done" and "version 4 is challenger" in waits["reason"]
    stopped = ask(verdict(end="2026-04-26"), now=late + timedelta(days=1))
    assert stopped["action"] == "retrain", "a canary that was stopped answers nothing"


def test_a_trial_that_no_drift_caused_answers_no_drift():
    assert ask(verdict(), trial=4)["action"] == "retrain"


def test_the_account_knows_which_drift_a_window_was_trained_for():
    decision = ask(verdict())
    window = date.fromisoformat(decision["window"]["end"])
    assert ledger.Account.read(live_folder()).answered(window) is None, "proposed, and not begun"
    go(decision)
    assert ledger.Account.read(live_folder()).answered(window) == date(2026, 3, 2)
    assert ledger.Account.read(live_folder()).answered(window + timedelta(days=7)) is None


def test_another_version_within_the_cooldown_is_a_page():
    go(ask(verdict()))
    decision = ask(verdict(version=4, end="2026-03-20"), now=NOW + timedelta(days=4))
    assert decision["action"] == "page" and "cooldown" in decision["reason"] and not decision["retrain"]


def test_a_spent_budget_is_a_page_until_more_is_approved():
    params = toy.DECISION.model_copy(update={"cooldown_days": 0})  # 30 minutes per month, 15 per retraining
    for version in (3, 4):
        go(ask(verdict(version=version), params=params))
    decision = ask(verdict(version=5), params=params)
    assert decision["action"] == "page" and "0 of the budget of 2026-03" in decision["reason"]
    assert not decision["retrain"] and len(ledger.Account.read(live_folder()).runs) == 2
    ledger.approve(live_folder(), minutes=60, month="2026-03", who="boss", now=NOW)
    assert ask(verdict(version=5), params=params)["action"] == "retrain"


def test_minutes_are_reserved_once_and_settled():
    decision = ask(verdict())
    go(decision)
    go(decision)
    account = ledger.Account.read(live_folder())
    assert account.minutes_left(month="2026-03", allowed=30) == 15
    ledger.settle(decision["key"], minutes=4, now=NOW, account=account)
    assert ledger.Account.read(live_folder()).minutes_left(month="2026-03", allowed=30) == 26
    with pytest.raises(InputError, match="no run with key"):
        ledger.settle("other", minutes=1, now=NOW, account=account)


def end(decision, outcome, *, now=NOW, minutes=4.0, **more):
    ended = ledger.Ended(outcome, f"drift__{decision['key']}", **more)
    account = ledger.Account.read(live_folder())
    return ledger.settle(decision["key"], minutes=minutes, now=now, account=account, ended=ended)


@pytest.mark.parametrize("outcome", ledger.UNANSWERED)
def test_a_run_that_gave_no_answer_frees_its_cause_until_attempts_are_used_up(outcome):
    keys, later = set(), NOW
    for attempt in range(toy.DECISION.max_attempts):
        later = NOW + timedelta(days=attempt)
        decision = ask(verdict(), now=later, params=toy.DECISION.model_copy(update={"max_minutes_per_month": 999}))
        assert decision["action"] == "retrain", decision["reason"]
        keys.add(decision["key"])
        go(decision, now=later)
        end(decision, outcome, now=later, why="the disk is full")
    assert len(keys) == toy.DECISION.max_attempts, "each attempt is a run of its own"
    paged = ask(verdict(end="2026-03-19"), now=later + timedelta(days=1))
    assert (paged["action"], paged["branch"], paged["page"]) == ("page", "attempts", True)
    assert "the disk is full" in paged["reason"] and not paged["retrain"]
    params = toy.DECISION.model_copy(update={"max_minutes_per_month": 999})
    after = later + timedelta(days=toy.DECISION.cooldown_days, hours=1)
    assert ask(verdict(end="2026-03-31"), now=after, params=params)["action"] == "retrain", "never blocked for ever"


@pytest.mark.parametrize("outcome", ["released", "kept", "refused"])
def test_a_run_that_ended_with_a_decision_answers_its_cause_for_the_cooldown(outcome):
    decision = ask(verdict())
    go(decision)
    end(decision, outcome)
    again = ask(verdict(end="2026-03-17"), now=NOW + timedelta(days=1))
    assert (again["action"], again["branch"]) == ("nothing", "done") and f"it was {outcome}" in again["reason"]


def test_budget_counts_the_minutes_that_a_run_took():
    params = toy.DECISION.model_copy(update={"cooldown_days": 0})

    def left():
        return ledger.Account.read(live_folder()).minutes_left(month="2026-03", allowed=30)

    first = ask(verdict(), params=params)
    go(first)
    end(first, "never_started", minutes=None)
    assert left() == 30
    second = ask(verdict(), params=params)
    go(second)
    end(second, "failed", minutes=4.0)
    assert left() == 26
    third = ask(verdict(), params=params)
    go(third)
    end(third, "failed", minutes=None, checked=True)
    assert left() == 11, "where nothing states what it took, what was expected stays spent"


def test_a_cleared_run_that_releases_after_all_has_answered():
    decision = ask(verdict())
    go(decision)
    end(decision, "failed")
    end(decision, "released", version=4)
    assert ledger.Account.read(live_folder()).outcome_of(decision["key"])["version"] == 4
    assert ask(verdict(end="2026-03-17"), now=NOW + timedelta(days=1))["branch"] == "done"


def test_an_outcome_is_recorded_once_and_a_check_never_replaces_what_the_run_reported():
    decision = ask(verdict())
    go(decision)
    reported = end(decision, "released", version=4)
    assert end(decision, "released", version=4) == reported
    assert end(decision, "failed", checked=True, minutes=None) == reported
    assert sum(line["kind"] == "outcome" for line in ledger.Account.read(live_folder()).decisions) == 1
    with pytest.raises(InputError, match="invalid outcome = 'lost'"):
        end(decision, "lost")


def test_only_the_challenger_that_the_retraining_released_is_its_trial():
    decision = ask(verdict())
    go(decision)

    def account():
        return ledger.Account.read(live_folder())

    assert account().challenger_of(3, challenger=4) is None, "a challenger of somebody else's run"
    end(decision, "released", version=5)
    assert account().challenger_of(3, challenger=4) is None
    assert account().challenger_of(3, challenger=5) == 5
    assert account().challenger_of(2, challenger=5) is None, "caused by another champion's drift"
    assert account().challenger_of(3, challenger=None) is None


def test_a_champion_worse_than_the_one_before_is_rolled_back_first():
    concept = json.loads(json.dumps(toy.NO_LABELS))
    concept["against_previous"]["outcome"] = "worse"
    decision = ask(verdict(concept=concept))
    assert decision["action"] == "rollback_and_retrain" and decision["rollback"] and decision["retrain"]
    steady = ask(verdict("steady", concept=concept))
    assert steady["action"] == "nothing"


def test_worse_on_labels_is_a_cause():
    concept = json.loads(json.dumps(toy.NO_LABELS))
    concept["against_release"]["outcome"] = "worse"
    decision = ask(verdict(columns=(), concept=concept))
    assert decision["columns"] == ["labels"] and decision["retrain"]


def test_a_clock_that_went_back_pages_and_triggers_nothing():
    ask(verdict("steady"))
    decision = ask(verdict(end="2026-03-10"), now=NOW - timedelta(days=5))
    assert decision["action"] == "page" and decision["branch"] == "clock" and not decision["retrain"]


def test_a_clock_that_went_back_does_not_shorten_the_cooldown():
    first = ask(verdict())
    line = go(first, now=NOW - timedelta(days=300))
    assert line["at"] == NOW.isoformat()


def test_a_window_that_is_not_over_is_refused():
    with pytest.raises(InputError, match="it is not over"):
        ask(verdict(end="2026-03-20"))
    assert not ledger.decisions_file(live_folder()).exists()


def test_an_old_window_triggers_nothing():
    ask(verdict("steady", end="2026-03-16"))
    decision = ask(verdict(end="2026-02-16"), now=NOW)
    assert (decision["action"], decision["branch"]) == ("nothing", "old")


def test_a_task_that_runs_twice_records_once():
    one, two = ask(verdict()), ask(verdict())
    assert one == two and len(ledger.Account.read(live_folder()).decisions) == 1


def test_confirming_an_unknown_key_names_the_known():
    first = ask(verdict())
    with pytest.raises(InputError, match=f"no retraining with key 'zzz' was decided: expected one of {first['key']}"):
        ledger.confirm("zzz", run_id="r", now=NOW, minutes=1, account=ledger.Account.read(live_folder()))


def test_a_tampered_decision_is_found():
    ask(verdict())
    file = ledger.decisions_file(live_folder())
    file.write_text(file.read_text().replace("retrain", "retrein", 1))
    with pytest.raises(StoreError, match="line 1: the chain of hashes is broken"):
        ask(verdict("steady"))


@given(st.text(max_size=8), st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=30)
def test_a_key_depends_on_its_cause_only(since, version, attempt):
    cause, later = verdict(version=version, since=since), verdict(version=version, since=since, end="2026-03-01")
    one = trigger_key(cause, model="shop", attempt=attempt)
    assert one == trigger_key(later, model="shop", attempt=attempt)
    assert one != trigger_key(cause, model="shop", attempt=attempt + 1)
    assert one != trigger_key(cause, model="mail", attempt=attempt), "two models' runs stand in one scheduler"


def _race(home, number):
    import os

    os.environ["PERENNIAL_HOME"] = home
    from pipelines.live.drift.files import drift_lock

    with drift_lock(live_folder(), seconds=30):
        decision = ask(verdict(columns=("score", f"c{number}")), now=NOW + timedelta(seconds=number))
        if decision["retrain"]:
            go(decision, now=NOW + timedelta(seconds=number), run_id=f"run-{number}")


@pytest.mark.slow
def test_schedulers_at_once_make_one_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    workers = [get_context("fork").Process(target=_race, args=(str(tmp_path), number)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(ledger.Account.read(live_folder()).runs) == 1
