"""Run parameters are data: what is accepted, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from light_repository import ROOT, TOOLS, plain
from orchestration.request import EXAMPLE, REF, Request, RequestError, run_params, templated_overrides

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


@pytest.mark.slow
def test_the_example_of_the_form_is_accepted_by_the_real_parameter_file(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    (tmp_path / "example.json").write_text(json.dumps(dict(Request.of({"overrides": EXAMPLE}).overrides)))
    command = [TOOLS / "python", "-m", "pipelines", "params", "set", "--file=example.json", "--end=2026-03-02"]
    answer = subprocess.run(command, cwd=tmp_path, env=plain(), capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    (name,) = EXAMPLE
    section, parameter = name.split(".")
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())[section][parameter] == EXAMPLE[name]
    assert json.dumps(EXAMPLE) in str(run_params()["overrides"].description)


@pytest.mark.parametrize("ref", EVIL)
def test_a_ref_with_other_characters_is_refused(ref: str) -> None:
    with pytest.raises(RequestError, match="ref = "):
        Request.of({"ref": ref})


@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.2.3", "0a1b2c3", "runs/a_b-1", "a+b"])
def test_a_plain_ref_is_accepted(ref: str) -> None:
    assert Request.of({"ref": ref}).ref == ref


@pytest.mark.parametrize(
    "given", [{"ref": 3}, {"key": "a b"}, {"key": "$(x)"}, {"start": "2025-13-01", "end": "2026-01-01"}]
)
def test_other_wrong_values_are_refused_by_name(given: dict) -> None:
    with pytest.raises(RequestError, match=f"{next(iter(given))} = "):
        Request.of(given)


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RequestError, match="unknown run parameters overide: expected ref, start"):
        Request.of({"overide": {}})


def test_a_window_has_an_end_after_its_start() -> None:
    with pytest.raises(RequestError, match="has no end"):
        Request.of({"start": "2025-01-01"})
    with pytest.raises(RequestError, match="not before"):
        Request.of({"start": "2025-01-02", "end": "2025-01-02"})
    assert Request.of({"end": "2025-01-02"}).end == dt.date(2025, 1, 2)


def test_nested_overrides_mean_dotted_ones() -> None:
    request = Request.of({"overrides": {"a": {"b": 1, "c": {"d": [2]}}, "e.f": None}})
    assert request.overrides == {"a.b": 1, "a.c.d": [2], "e.f": None}


@pytest.mark.parametrize("name", ["a;b", "../a", "a b", "", "$(x)", "a..b", "-a\n"])
def test_an_override_with_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="invalid name"):
        Request.of({"overrides": {name: 1}})


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


TEMPLATED = ["domain", "train.lr", "item.lang", "list[0]"]


@pytest.mark.parametrize("name", ["domain", "train", "train.lr", "train.lr.deep", "list"])
@pytest.mark.parametrize(
    "value", ["a b", "a;b", "$(x)", "`x`", "-x", "a\nb", "'", '"', "a|b", "a>b", "~", ["-a"], {"a b": 1}]
)
def test_what_dvc_writes_into_a_command_is_plain(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=r"dvc\.yaml writes it into a command"):
        templated_overrides({name: value}, templated=TEMPLATED)


def test_other_parameters_take_any_text_and_plain_values_change_the_graph() -> None:
    free = {"owner": "$(touch owned); `x`", "trained": "-x", "train2.lr": "'", "ingest.list": ["a b"]}
    assert templated_overrides(free, templated=TEMPLATED) == []
    shaping = {"domain": "tests/domains/x-1", "train.lr": 0.1, "list": ["en", None, True]}
    assert templated_overrides({**free, **shaping}, templated=TEMPLATED) == list(shaping)
