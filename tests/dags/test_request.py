"""Run parameters are data: what may be asked for, and what is refused."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from orchestration.operators.prepare import window_length
from orchestration.request import REF, Request, RequestError, run_params

EVIL = [
    "main; rm -rf /",
    "$(touch /tmp/owned)",
    "`id`",
    "main\nrm",
    "main\n",
    "../../etc/passwd",
    "a/../b",
    "-rf",
    "--upload-pack=touch /tmp/owned",
    "main'",
    'main"',
    "main@{1}",
    "a..b",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "refs/heads/x.lock",
    "a//b",
    "a/",
    ".hidden",
    "x" * 300,
    "ü",
]


@pytest.mark.parametrize("ref", EVIL)
def test_a_ref_that_is_no_plain_name_is_refused(ref: str) -> None:
    with pytest.raises(RequestError, match="ref = "):
        Request.of({"ref": ref})


@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.2.3", "0a1b2c3", "runs/a_b-1", "a+b"])
def test_a_plain_ref_is_taken(ref: str) -> None:
    assert Request.of({"ref": ref}).ref == ref


@pytest.mark.parametrize(
    "given", [{"ref": 3}, {"key": "a b"}, {"key": "$(x)"}, {"start": "2025-13-01", "end": "2026-01-01"}]
)
def test_other_wrong_values_are_refused_by_name(given: dict) -> None:
    with pytest.raises(RequestError, match=f"{next(iter(given))} = "):
        Request.of(given)


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match="unknown run parameters: overide; there are: ref, start"):
        Request.of({"overide": {}})


def test_a_window_has_an_end_after_its_start() -> None:
    with pytest.raises(RequestError, match="without an end"):
        Request.of({"start": "2025-01-01"})
    with pytest.raises(RequestError, match="not before"):
        Request.of({"start": "2025-01-02", "end": "2025-01-02"})
    assert Request.of({"end": "2025-01-02"}).end == dt.date(2025, 1, 2)


def test_nested_overrides_mean_dotted_ones() -> None:
    request = Request.of({"overrides": {"a": {"b": 1, "c": {"d": [2]}}, "e.f": None}})
    assert request.overrides == {"a.b": 1, "a.c.d": [2], "e.f": None}


@pytest.mark.parametrize("knob", ["a;b", "../a", "a b", "", "$(x)", "a..b", "-a\n"])
def test_an_override_of_no_knob_is_refused(knob: str) -> None:
    with pytest.raises(RequestError, match="is no knob"):
        Request.of({"overrides": {knob: 1}})


@pytest.mark.parametrize(
    "value", ["x" * 60_000, "\ud800", float("nan"), [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]], ["a"] * 20_000]
)
def test_an_override_that_no_file_or_commit_could_hold_is_refused(value) -> None:
    with pytest.raises(RequestError, match="overrides"):
        Request.of({"overrides": {"a": {"b": value}}})


def test_a_reason_becomes_one_line_and_is_never_read_as_anything() -> None:
    assert Request.of({"reason": "a\nRun-Prepared: x\x00 $(b)"}).reason == "a Run-Prepared: x $(b)"


def test_the_form_checks_what_the_code_checks() -> None:
    params = run_params()
    assert set(params) == set(Request.__dataclass_fields__)
    for ref in EVIL:
        if ref != "refs/heads/x.lock":
            assert not re.search(params["ref"].schema["pattern"], ref) or ref.endswith("\n"), ref
    assert re.match(REF, "main")


@pytest.mark.parametrize("value", ["x", "182", True, 0, -7, 1.5, 1_000_000_000, None, [7]])
def test_the_length_of_a_window_is_days_or_refused_at_once(value: object) -> None:
    with pytest.raises(RequestError, match=r"^ingest\.window_days = .*; a whole number of days from 1 to 100,000"):
        window_length("ingest.window_days", value)
    assert window_length("ingest.window_days", 182) == 182
