"""Number formats and axes of pages."""

import pytest

from pipelines.reporting.report import (
    Scale,
    axis_bounds,
    number,
    percent,
    short_digest,
    signed,
    thousands,
    ticks,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.12345), "0.123"),
        (number(None), "–"),
        (number(float("nan")), "–"),
        (percent(0.1234), "12.3 %"),
        (signed(-0.5), "\u22120.500"),
        (signed(0.5), "+0.500"),
        (thousands(12345.0), "12,345"),
        (short_digest("abcdef", 3), "abc"),
        (words("label_impact:region=north"), "label impact: region=north"),
    ],
)
def test_formats(text, expected):
    assert text == expected


def test_a_scale_clips_and_an_empty_range_is_its_start():
    assert [Scale(0, 10, 100, 200)(value) for value in (-5, 0, 5, 20)] == [100, 100, 150, 200]
    assert Scale(3, 3, 100, 200)(3) == 100


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 1, [0, 0.5, 1]), (0, 100, [0, 50, 100]), (2, 2, [2])])
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high, count=3) == expected


def test_an_axis_contains_all_values_and_those_to_include():
    low, high = axis_bounds([0.4, None, float("nan"), 0.6], include=[0.9])
    assert low < 0.4 and high > 0.9
    assert axis_bounds([None]) == (0.0, 1.0)
