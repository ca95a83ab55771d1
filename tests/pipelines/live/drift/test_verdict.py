"""The verdict on a live week: steady, alert, breach, or undecided, and whether the feed is broken."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.live.drift.live import count_live
from pipelines.live.drift.verdict import make_verdict
from pipelines.reporting.drift_page import drift_page
from pipelines.runtime.errors import InputError
from tests.factories import drift_toy as toy

WEEKS = 6
END = toy.END + timedelta(weeks=WEEKS)


def live_rows(change=None, *, weeks=2, per_day=60, seed=1):
    frame = toy.rows(toy.END, END, per_day=per_day, seed=seed)
    if change is not None:
        late = (frame["received_at"] >= pd.Timestamp(END - timedelta(weeks=weeks), tz="UTC")).to_numpy()
        change(frame, late)
    return frame


def evaluate(profile, frame, *, version=toy.VERSION, start=END - timedelta(days=7), scored=(toy.START, toy.END)):
    live = count_live(frame, profile=profile, model_version=version, end=END, n_days=7 * WEEKS, texts=None)
    return make_verdict(
        profile,
        live,
        model_version=version,
        start=start,
        params=toy.PARAMS,
        concept=toy.NO_LABELS,
        scored=scored,
    )


def broken(verdict):
    return [check["name"] for check in verdict["upstream"]["checks"] if check["outcome"] == "failed"]


def test_a_week_like_the_others_is_steady(profile):
    verdict = evaluate(profile, live_rows())
    assert verdict["outcome"] == "steady" and verdict["breaches"] == [] and broken(verdict) == []
    facts = verdict["columns"]["amount"]
    assert facts["method"] == "rank" and facts["n_weeks"] == 35 and facts["psi"] >= 0
    assert facts["excess"] == pytest.approx(facts["psi"] - facts["median"])
    assert len(facts["history"]) == WEEKS and sum(facts["bins"]["live"]) == 420


def test_the_accuracy_is_estimated_before_labels_come(profile):
    usual, lower = evaluate(profile, live_rows()), evaluate(profile, live_rows().assign(confidence=0.4))
    assert usual["estimate"]["interval"][0] < usual["estimate"]["release_accuracy"] < usual["estimate"]["interval"][1]
    assert usual["estimate"]["rows"] == 420 and lower["estimate"]["accuracy"] < usual["estimate"]["interval"][0]
    page = drift_page(usual, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2})
    assert "Without labels" in page and "Without labels" not in drift_page(
        usual | {"estimate": None}, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2}
    )


def test_the_same_rows_give_the_same_verdict(profile):
    assert evaluate(profile, live_rows())["digest"] == evaluate(profile, live_rows())["digest"]


def test_a_month_is_refused_rather_than_reduced_to_its_last_week(profile):
    with pytest.raises(InputError, match="28 days"):
        evaluate(profile, live_rows(), start=END - timedelta(days=28))


def test_a_verdict_is_named_by_its_window_its_model_and_its_columns(profile):
    live = live_rows()
    verdicts = [
        evaluate(profile, live),
        evaluate(profile, live, start=END - timedelta(days=3)),
        evaluate(profile, live, version=toy.VERSION + 1),
        evaluate(replace(profile, model_digest="e" * 64), live),  # a version number that another model had before
        evaluate(replace(profile, columns=profile.columns[1:]), live),
    ]
    assert len({verdict["key"] for verdict in verdicts}) == len(verdicts)
    assert all(verdict["key"].startswith(f"{END}-v") for verdict in verdicts)


def shift(frame, late):
    frame.loc[late, "score"] += 1.0


def test_a_shift_of_two_weeks_breaches_and_names_its_column_and_since_when(profile):
    verdict = evaluate(profile, live_rows(shift))
    assert verdict["outcome"] == "breach" and verdict["breaches"] == ["score"]
    assert verdict["since"] == (END - timedelta(weeks=2)).isoformat()
    facts = verdict["columns"]["score"]
    assert (
        facts["rank"] == 1
        and facts["p"] == pytest.approx(1 / 36)
        and facts["opinions"]["kolmogorov_smirnov"]["drifted"]
    )


def test_a_shift_of_one_week_alerts_only(profile):
    verdict = evaluate(profile, live_rows(shift, weeks=1))
    assert verdict["outcome"] == "alert" and verdict["alerts"] == ["score"] and verdict["breaches"] == []


def test_a_shift_of_four_weeks_is_counted(profile):
    verdict = evaluate(profile, live_rows(shift, weeks=4))
    assert verdict["since"] == (END - timedelta(weeks=4)).isoformat()


def test_one_outlier_changes_nothing(profile):
    clean, odd = live_rows(), live_rows()
    odd.loc[odd.index[-1], "amount"] = 1e15
    one, two = evaluate(profile, clean), evaluate(profile, odd)
    assert two["outcome"] == one["outcome"] == "steady"
    assert two["columns"]["amount"]["psi"] == pytest.approx(one["columns"]["amount"]["psi"], abs=0.01)


def test_a_new_category_breaches(profile):
    def rename(frame, late):
        frame.loc[late & (np.arange(len(frame)) % 4 == 0), "state"] = "PR"

    verdict = evaluate(profile, live_rows(rename))
    assert verdict["breaches"] == ["state"] and verdict["columns"]["state"]["unseen_share"] > 0.2


def test_a_column_gone_half_missing_is_drift_and_a_broken_feed(profile):
    def lose(frame, late):
        frame.loc[late & (np.arange(len(frame)) % 2 == 0), "amount"] = np.nan

    verdict = evaluate(profile, live_rows(lose))
    assert "amount" in verdict["breaches"] and broken(verdict) == ["missing_values"]


def test_a_column_of_nulls_on_its_first_day_is_a_broken_feed(profile):
    def lose(frame, late):
        frame.loc[frame["received_at"] >= pd.Timestamp(END - timedelta(days=1), tz="UTC"), "state"] = pd.NA

    verdict = evaluate(profile, live_rows(lose))
    assert broken(verdict) == ["missing_values"]


def test_a_missing_share_that_few_rows_show_by_chance_is_no_broken_feed():
    def lose(frame, seed=0):
        frame.loc[np.random.default_rng(seed).random(len(frame)) < 0.4, "amount"] = np.nan

    known = toy.profile(per_day=28, change=lose)
    alarms = 0
    for seed in range(60):
        live = toy.rows(toy.END, END, per_day=28, seed=seed)
        lose(live, seed)
        alarms += broken(evaluate(known, live)) == ["missing_values"]
    assert alarms <= 2, "28 rows a day: chance alone moves a share of 0.4 by 0.25 every few weeks"
    live.loc[live["received_at"] >= pd.Timestamp(END - timedelta(days=1), tz="UTC"), "amount"] = np.nan
    assert broken(evaluate(known, live)) == ["missing_values"], "and a day of nulls is seen the same day"


def test_a_column_that_is_not_there_is_a_broken_feed(profile):
    verdict = evaluate(profile, live_rows().drop(columns="amount"))
    assert broken(verdict) == ["columns_gone"]
    assert verdict["columns"]["amount"]["outcome"] == "undecided"


@pytest.mark.parametrize("factor", [100, 0.01])
def test_a_unit_change_is_a_broken_feed(profile, factor):
    def change(frame, late):
        frame.loc[late, "amount"] *= factor

    verdict = evaluate(profile, live_rows(change))
    assert broken(verdict) == ["units"]
    assert verdict["upstream"]["checks"][-1]["details"]["columns"]["amount"] == pytest.approx(factor, rel=0.3)


def test_a_shift_is_no_unit_change(profile):
    assert broken(evaluate(profile, live_rows(shift))) == []


def test_a_stale_feed_is_seen(profile):
    frame = live_rows()
    frame = frame[frame["received_at"] < pd.Timestamp(END - timedelta(days=3), tz="UTC")]
    assert "stale" in broken(evaluate(profile, frame))


@pytest.mark.parametrize(
    "n_days, message", [(0, "no predictions yet: nothing was"), (1, "no predictions yet except those of")]
)
def test_a_feed_that_has_not_begun_is_not_stale(profile, n_days, message):
    frame = toy.rows(END - timedelta(days=3), END - timedelta(days=3 - n_days))
    verdict = evaluate(profile, frame, scored=[END - timedelta(days=3)][:n_days])
    assert broken(verdict) == [] and verdict["outcome"] == "undecided" and verdict["nothing_yet"].startswith(message)
    page = drift_page(verdict, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2})
    assert message in page and "The feed is broken" not in page


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_feed_in_its_first_week_is_not_shrunken_but_may_be_stale(profile, silent):
    days = [END - timedelta(days=number) for number in (5, 4)]
    verdict = evaluate(profile, toy.rows(days[0], END - timedelta(days=silent)), scored=days)
    assert broken(verdict) == (["stale"] if silent > 1 else []) and verdict["nothing_yet"] == ""


@pytest.mark.parametrize("n_days", [1, 2])
def test_a_feed_that_ran_long_ago_and_stopped_is_stale(profile, n_days):
    verdict = evaluate(profile, live_rows().iloc[:0], scored=[toy.START, toy.END][:n_days])
    assert {"stale", "volume"} <= set(broken(verdict)) and verdict["nothing_yet"] == ""


def test_a_shrunken_feed_is_seen_and_is_no_drift(profile):
    frame = live_rows()
    late = frame["received_at"] >= pd.Timestamp(END - timedelta(days=7), tz="UTC")
    verdict = evaluate(profile, frame[~late | (np.arange(len(frame)) % 4 == 0)])
    assert broken(verdict) == ["volume"] and verdict["outcome"] == "steady"


def test_no_rows_at_all_are_undecided_and_a_broken_feed(profile):
    verdict = evaluate(profile, live_rows().iloc[:0])
    assert verdict["outcome"] == "undecided" and {"stale", "volume"} <= set(broken(verdict))


def test_the_page_of_a_silent_feed_and_of_an_older_verdict(profile):
    verdict = evaluate(profile, live_rows().iloc[:0])
    assert f"no row in {7 * WEEKS} days" in [check["sentence"] for check in verdict["upstream"]["checks"]]
    del verdict["reference"]["moved_since"]  # as verdicts were before models knew what they were trained for
    page = drift_page(verdict, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2})
    assert "The feed is broken" in page and f"no row in {7 * WEEKS} days" in page


def test_too_few_rows_are_undecided_not_steady(profile):
    frame = live_rows(shift, per_day=1)
    verdict = evaluate(profile, frame[np.arange(len(frame)) % 2 == 0])
    facts = verdict["columns"]["score"]
    assert verdict["outcome"] == facts["method"] == "undecided" and facts["window_weeks"] == 1 and facts["rows"] < 25


@pytest.fixture(scope="module")
def small():
    """Two years of three rows per day."""
    return toy.profile(start=toy.END - timedelta(weeks=104), per_day=3)


def small_week(small, change=None, *, weeks=4, seed=1):
    frame = toy.rows(toy.END, toy.END + timedelta(weeks=8), per_day=3, seed=seed)
    end = toy.END + timedelta(weeks=8)
    if change is not None:
        change(frame, (frame["received_at"] >= pd.Timestamp(end - timedelta(weeks=weeks), tz="UTC")).to_numpy())
    live = count_live(frame, profile=small, model_version=toy.VERSION, end=end, n_days=56, texts=None)
    more = {"start": end - timedelta(days=7), "params": toy.PARAMS, "concept": toy.NO_LABELS}
    return make_verdict(small, live, model_version=toy.VERSION, scored=(toy.START, toy.END), **more)


def test_two_weeks_are_compared_as_one_where_one_has_too_few_rows(small):
    def shift_far(frame, late):
        frame.loc[late, "score"] += 2.0

    verdict = small_week(small, shift_far)
    facts = verdict["columns"]["score"]
    assert facts["method"] == "rank" and facts["window_weeks"] == 2 and facts["n_weeks"] == 52 and facts["rows"] == 42
    assert "two weeks are compared as one" in facts["why"]
    assert verdict["breaches"] == ["score"] and verdict["since"] == (toy.END + timedelta(weeks=4)).isoformat()
    assert small_week(small, shift_far, weeks=2)["outcome"] == "alert"


def test_an_identifier_is_not_watched_and_is_named():
    def number_rows(frame):
        frame["state"] = frame["record_id"]

    verdict = evaluate(toy.profile(change=number_rows), live_rows())
    assert "state" not in verdict["columns"] and verdict["identifiers"] == ["state"] and broken(verdict) == []
    assert "state" in drift_page(verdict, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2})


def test_a_profile_of_an_earlier_release_is_measured_as_before_and_named(profile):
    def rename(frame):
        frame["state"] = [f"s{number % 60}" for number in range(len(frame))]

    now = toy.profile(change=rename)
    old = replace(now, format=1, columns=tuple(replace(column, tails=None) for column in now.columns))
    facts, before = (evaluate(known, live_rows())["columns"]["state"] for known in (now, old))
    assert "earlier release" in before["why"] and "earlier release" not in facts["why"]
    assert len(facts["bins"]["labels"]) == len(before["bins"]["labels"]) + 1


@pytest.mark.slow
def test_small_weeks_have_no_more_false_alarms_than_stated(small):
    verdicts = [small_week(small, seed=100 + seed) for seed in range(150)]
    assert all(verdict["columns"]["state"]["method"] == "rank" for verdict in verdicts)
    inputs = [{name for name in verdict["alerts"] if name in ("state", "amount", "score")} for verdict in verdicts]
    assert np.mean([bool(names) for names in inputs]) < 0.06  # 1 / 53 = 0.019
    assert not any(verdict["breaches"] for verdict in verdicts)


@pytest.mark.slow
def test_a_small_live_week_is_no_drift_where_weeks_are_composed_of_days():
    few = toy.profile(start=toy.END - timedelta(weeks=12))
    alarms = [evaluate(few, live_rows(per_day=5, seed=seed))["columns"]["score"] for seed in range(20)]
    assert {facts["method"] for facts in alarms} == {"optimistic"} and sum(facts["alert"] for facts in alarms) <= 3


def test_a_column_of_few_reference_weeks_is_paged_for_when_it_lasts():
    short = toy.profile(start=toy.END - timedelta(weeks=5))
    for weeks, persistent in ((3, []), (4, ["score"])):
        verdict = evaluate(short, live_rows(shift, weeks=weeks))
        facts = verdict["columns"]["score"]
        assert facts["method"] == "provisional" and verdict["breaches"] == []
        assert verdict["persistent"] == verdict["alerts"] == persistent
        assert verdict["outcome"] == ("alert" if persistent else "undecided")
    assert evaluate(short, live_rows())["persistent"] == []


def test_a_predicted_class_of_few_weeks_does_not_breach_and_persists():
    def other(frame, late):
        frame.loc[late, "label"] = "card"

    short = toy.profile(start=toy.END - timedelta(weeks=12))
    verdict = evaluate(short, live_rows(other, weeks=3))
    assert verdict["outcome"] == "alert" and verdict["persistent"] == []
    verdict = evaluate(short, live_rows(other, weeks=4))
    assert verdict["persistent"] == ["predicted_class"] and verdict["breaches"] == []
    page = drift_page(verdict, decision=None, limits={"alert_excess": 0.1, "breach_excess": 0.2})
    assert "a person decides" in page


@pytest.mark.parametrize("weeks, method", [(1, "undecided"), (5, "provisional"), (12, "optimistic"), (26, "rank")])
def test_the_method_depends_on_the_weeks_there_are(weeks, method):
    short = toy.profile(start=toy.END - timedelta(weeks=weeks))
    verdict = evaluate(short, live_rows(shift))
    assert verdict["columns"]["score"]["method"] == method
    assert verdict["outcome"] == ("breach" if method in ("rank", "optimistic") else "undecided")


def test_a_window_shorter_than_a_week_is_undecided(profile):
    verdict = evaluate(profile, live_rows(shift), start=END - timedelta(days=3))
    assert verdict["outcome"] == "undecided" and "3 days" in verdict["columns"]["score"]["why"]


def test_rows_of_another_version_count_for_inputs_not_for_predictions(profile):
    frame = live_rows(shift)
    frame["model_version"] = 2
    verdict = evaluate(profile, frame)
    assert verdict["breaches"] == ["score"] and verdict["own_rows"] == 0
    assert verdict["columns"]["confidence"]["outcome"] == "undecided"


def test_a_record_that_two_versions_answered_counts_once(profile):
    frame = live_rows()
    shadow = frame.assign(model_version=4, role="shadow", confidence=0.99)
    one, two = evaluate(profile, frame), evaluate(profile, pd.concat([shadow, frame]))
    assert one["rows"] == two["rows"] and one["columns"]["confidence"] == two["columns"]["confidence"]


def test_a_slow_drift_is_reported(profile):
    def creep(frame, late):
        week = (frame["received_at"] - pd.Timestamp(toy.END, tz="UTC")).dt.days // 7
        frame["score"] += 0.12 * (week + 1)

    verdict = evaluate(profile, live_rows(creep))
    assert verdict["slow"] == ["score"]
    assert evaluate(profile, live_rows(shift))["slow"] == []  # a step is not a slope


def test_the_same_week_of_last_year_is_reported():
    long = toy.profile(start=END - timedelta(weeks=56), end=toy.END)
    assert evaluate(long, live_rows())["columns"]["score"]["last_year_psi"] is not None
