"""What the benchmarks measure with, on a machine that has none of the real data."""

from datetime import date

import numpy as np
import pytest

from benchmarks import honest_gates, texts


@pytest.fixture()
def no_real_data(tmp_path, monkeypatch):
    monkeypatch.setenv("PERENNIAL_REAL_DATA", str(tmp_path))
    monkeypatch.setattr(texts, "SIMULATED_WINDOW", (date(2026, 1, 5), date(2026, 1, 12)))


def test_without_real_narratives_the_simulated_ones_are_taken_and_named(no_real_data, capsys):
    found, what = texts.narratives()
    assert len(found) > 50
    assert len(set(found)) == len(found)
    assert "simulated" in what
    assert "PERENNIAL_REAL_DATA" in capsys.readouterr().out


def test_more_texts_than_there_are_recombine_their_sentences(no_real_data):
    found, _ = texts.narratives()
    more = texts.recombined(found, n_texts=2 * len(found), random=np.random.default_rng(1))
    assert more[: len(found)] == found
    known = {piece for text in found for piece in texts.sentences(text)}
    assert set(texts.sentences(more[-1])) <= known


@pytest.mark.slow
@pytest.mark.parametrize("part", [name for name in honest_gates.PARTS if name != "tails"])
def test_gates_close_and_stay_open_as_often_as_stated(part):
    rates = honest_gates.simulate([part], runs=10, seed=1)
    assert rates and not [(rate.case, rate.what, rate.hits, rate.runs) for rate in rates if rate.outside]


def test_a_rate_outside_its_bounds_is_seen_once_chance_is_ruled_out():
    assert honest_gates.Rate("a gate", "closes", hits=60, runs=100, low=0.9).outside
    assert not honest_gates.Rate("a gate", "closes", hits=8, runs=10, low=0.9).outside
    assert honest_gates.Rate("a gate", "closes", hits=40, runs=100, high=0.05).outside
