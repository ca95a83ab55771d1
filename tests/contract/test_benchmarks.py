"""What the benchmarks measure with, on a machine that has none of the real data."""

from datetime import date

import numpy as np
import pytest

from benchmarks import texts


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
