"""The null distribution of weekly ranks: its rates, its ties, and its optimistic form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.live.drift.alarms import alerts, find_breaches, weeks_in_a_row
from pipelines.live.drift.weeks import draw_weeks, rank_week, score_weeks, sum_weeks, thin, undecided_week
from pipelines.stats.histogram import psi

MASK = np.ones((3, 5), dtype=bool)


def weeks(n: int, *, rows: int = 400, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multinomial(rows, [0.2] * 5, size=(n, 3))


def moved(rows: int = 400) -> np.ndarray:
    live = weeks(1, rows=rows, seed=9)[0]
    live[1] = np.random.default_rng(5).multinomial(rows, [0.5, 0.2, 0.1, 0.1, 0.1])
    return live


def test_every_week_is_scored_against_all_others_by_hand():
    counts = weeks(9)
    index, median, scores = score_weeks(counts, mask=MASK)
    assert index[4, 1] == pytest.approx(float(psi(counts[[0, 1, 2, 3, 5, 6, 7, 8], 1].sum(axis=0), counts[4, 1])))
    assert np.allclose(median, np.median(index, axis=0))
    assert np.allclose(scores, index / median)


def test_the_column_that_moved_ranks_first_and_alone():
    scored = rank_week(weeks(30), moved(), mask=MASK)
    assert scored.rank[1] == 1 and scored.p[1] == pytest.approx(1 / 31)
    alert = alerts(scored, excess=0.1, optimistic_p=0.05)
    assert alert.tolist() == [False, True, False]


def test_a_first_rank_without_size_is_no_alert():
    scored = rank_week(weeks(30), moved(), mask=MASK)
    assert not alerts(scored, excess=5.0, optimistic_p=0.05).any()


def test_a_breach_takes_two_weeks():
    now, quiet = rank_week(weeks(30), moved(), mask=MASK), rank_week(weeks(30), weeks(1, seed=4)[0], mask=MASK)
    limits = {"alert_excess": 0.1, "breach_excess": 0.2, "optimistic_p": 0.05}
    assert find_breaches(now, now, **limits)[1].tolist() == [False, True, False]
    for before in (None, quiet):
        alert, breach = find_breaches(now, before, **limits)
        assert alert[1] and not breach.any()


def test_a_week_like_the_newest_that_moved_has_not_moved_again():
    def other(seed: int, shares: list[float]) -> np.ndarray:
        week = weeks(1, seed=seed)[0]
        week[1] = np.random.default_rng(seed).multinomial(400, shares)
        return week

    there, further = [0.5, 0.2, 0.1, 0.1, 0.1], [0.8, 0.05, 0.05, 0.05, 0.05]
    reference = np.concatenate([weeks(28), [other(seed, there) for seed in (1, 2)]])
    again = 0
    for seed in range(20):
        live = other(100 + seed, there)
        plain, with_moved = (rank_week(reference, live, mask=MASK, moved=moved) for moved in (0, 2))
        again += alerts(plain, excess=0.1, optimistic_p=0.05)[1]
        assert not alerts(with_moved, excess=0.1, optimistic_p=0.05).any()
        assert (with_moved.excess <= plain.excess).all(), "knowing the drift only removes alerts"
    assert again > 2, "two weeks of thirty do not make a third one usual"
    beyond = rank_week(reference, other(7, further), mask=MASK, moved=2)
    assert alerts(beyond, excess=0.2, optimistic_p=0.05).tolist() == [False, True, False]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_reference_weeks_changes_nothing(seed):
    order = np.random.default_rng(seed).permutation(30)
    one, two = rank_week(weeks(30), moved(), mask=MASK), rank_week(weeks(30)[order], moved(), mask=MASK)
    assert np.allclose(one.score, two.score) and (one.rank == two.rank).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_ranks_and_p_are_what_they_may_be(seed):
    scored = rank_week(weeks(12, seed=seed), weeks(1, seed=seed + 1)[0], mask=MASK)
    assert ((scored.rank >= 1) & (scored.rank <= 13)).all() and (scored.psi >= 0).all()


def test_without_drift_a_first_rank_is_as_rare_as_stated():
    first = [
        (rank_week(w[:12], w[12], mask=MASK).rank == 1).any() for w in (weeks(13, seed=seed) for seed in range(600))
    ]
    assert 0.04 < np.mean(first) < 0.12  # 1 / 13 = 0.077


def test_a_column_that_never_changes_does_not_outrank_by_one_odd_row():
    counts = np.zeros((31, 3, 5), dtype=np.int64)
    counts[:, 0, 0] = counts[:, 2, 0] = 1000
    counts[:, 1] = weeks(31, rows=1000)[:, 1]
    counts[30, 0] = [999, 1, 0, 0, 0]
    scored = rank_week(counts[:30], counts[30], mask=MASK)
    assert scored.excess[0] < 0.01 and not alerts(scored, excess=0.1, optimistic_p=0.05).any()


def test_few_weeks_are_drawn_from_days_and_marked_optimistic():
    rng = np.random.default_rng(0)
    reference = rng.multinomial(80, [0.2] * 5, size=(7 * 10, 3))
    live = rng.multinomial(80, [0.2] * 5, size=(7, 3))
    live[:, 1] = rng.multinomial(80, [0.6, 0.1, 0.1, 0.1, 0.1], size=7)
    scored = draw_weeks(reference, live, mask=MASK, draws=199, generator=np.random.default_rng(1))
    assert scored.method == "optimistic" and scored.n_weeks == 10
    assert scored.beyond(at_most=0.037).tolist() == [False, True, False]


def test_too_few_weeks_decide_nothing():
    scored = undecided_week(weeks(4), moved(), mask=MASK)
    assert scored.method == "undecided" and not scored.beyond(at_most=1).any() and scored.psi[1] > 0.2


def test_a_small_live_week_is_compared_with_weeks_of_its_size():
    thinned = thin(weeks(30), weeks(1, rows=50)[0], generator=np.random.default_rng(0))
    assert (thinned.sum(axis=2) == 50).all()
    same = weeks(30)
    assert thin(same, weeks(1, rows=390)[0], generator=np.random.default_rng(0)) is same


def test_half_the_rows_are_no_drift():
    first = 0
    for seed in range(300):
        reference, live = weeks(26, rows=400, seed=seed), weeks(1, rows=60, seed=seed + 5000)[0]
        reference = thin(reference, live, generator=np.random.default_rng(seed))
        first += bool((rank_week(reference, live, mask=MASK).rank == 1).any())
    assert first / 300 < 0.08  # 1 / 27 = 0.037; unthinned it is above 0.9


def test_weeks_count_back_from_the_last_day():
    days = np.arange(17)[:, None, None] * np.ones((17, 1, 1), dtype=np.int64)
    assert sum_weeks(days, most=52)[:, 0, 0].tolist() == [sum(range(3, 10)), sum(range(10, 17))]
    assert len(sum_weeks(days, most=1)) == 1


def test_weeks_in_a_row_stop_at_the_first_quiet_one():
    flags = [np.array(row) for row in ([True, True, False], [True, False, True], [True, True, True])]
    assert weeks_in_a_row(flags).tolist() == [3, 1, 0]
