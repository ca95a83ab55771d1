"""Exit codes of `run`, and the line of the summary that states how it ended."""

import re
from pathlib import Path

import pytest

from pipelines.gates.override import record_override
from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release import run
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.store import Store
from tests.factories.projects import make_project

FIGURE = {"p50_ms": 4.0, "p95_ms": 9.0, "p99_ms": 11.0, "records_per_second": 250.0}
RELEASED = {"action": "release", "version": 3, "moved": True, "reason": "", "preflight": {"figures": {"one": FIGURE}}}


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """Runs the main job with a given end; returns its exit code and what it printed, on one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    project = make_project(tmp_path)

    def end(*, dvc=0, outcome=None, stale=()):
        def applied(project, registry):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(run, "pin_champion", lambda project: None)
        monkeypatch.setattr(run.Registry, "open", lambda project: None)
        monkeypatch.setattr(run, "reproduce", lambda root: dvc)
        monkeypatch.setattr(run, "stale_stages", lambda root: set(stale))
        monkeypatch.setattr(run, "apply", applied)
        code = run.run_all(project, seconds=lambda: 1.0)
        return code, re.sub(r"\s+", " ", capsys.readouterr().out)

    return end


def outputs():
    """Return the store of the checkout in the working directory."""
    return Store(Path.cwd() / "data")


def close(stage):
    check = Check.at_most("harm", 0.4, limit=0.1, rows=500, min_rows=1, required=True, sentence="40 % of them")
    outputs().write_verdict(Verdict.of(stage, [check]))


def test_released(ended):
    code, text = ended(outcome=RELEASED)
    assert code == 0
    assert "released version 3 is champion now" in text
    assert "p50 4 ms, p95 9 ms, p99 11 ms, 250 records/s" in text


def test_a_source_that_cannot_be_reached_is_an_input_error(ended):
    assert ended(dvc=255, stale=("source", "ingest"))[0] == 66


def test_the_same_version_again(ended):
    code, text = ended(outcome={"action": "release", "version": 3, "moved": False, "reason": ""})
    assert code == 0
    assert "version 3 was champion already" in text


def test_kept(ended):
    outputs().write_json("promote", "decision.json", {"reason": "Kept: no better by the margin."})
    code, text = ended(outcome={"action": "keep", "version": 3, "reason": "Kept: no better by the margin."})
    assert code == 0
    assert "kept: the champion stays Kept: no better by the margin." in text


def test_challenger(ended):
    code, text = ended(outcome={"action": "challenge", "version": 4, "previous": 3, "reason": "better"})
    assert code == 0
    assert "its canary decides" in text


def test_refused(ended):
    close("promote")
    code, text = ended(outcome={"action": "refuse", "version": 3, "reason": "something is wrong"})
    assert code == 65
    assert "promote closed" in text
    assert "refused" in text


@pytest.mark.parametrize(
    ("error", "code"), [(GateClosed("pre-flight failed: p95_single_ms"), 65), (InputError("model/ is missing"), 66)]
)
def test_stopped_before_the_release(ended, error, code):
    found, text = ended(outcome=error)
    assert found == code
    assert "stopped before the release: nothing was registered" in text
    assert str(error) in text


def test_stopped_at_a_gate(ended):
    close("bias_gate")
    code, text = ended(dvc=255, stale=["baseline", "evaluate", "promote"])
    assert code == 65
    assert "bias_gate is closed by harm failed: 0.4, limit at most 0.1, 500 rows (at least 1): 40 % of them" in text
    assert "gate bias_gate is closed; nothing was released, the champion is untouched" in text


def test_of_many_closing_checks_the_first_are_described_and_the_others_named(ended, capsys):
    checks = [
        Check.at_most(f"harm_{n}", 0.4, limit=0.1, rows=500, min_rows=1, required=True, sentence="a sentence " * 9)
        for n in range(16)
    ]
    outputs().write_verdict(Verdict.of("bias_gate", checks))
    _, text = ended(dvc=255, stale=["baseline"])
    assert text.count("failed: 0.4, limit at most 0.1, 500 rows") == 5
    assert "and 11 more, in data/bias_gate/verdict.json: harm_5, harm_6" in text
    assert "harm_15" in text


def test_a_verdict_that_was_edited_is_not_explained(ended):
    close("bias_gate")
    file = Path("data/bias_gate/verdict.json")
    file.write_text(file.read_text().replace("0.4", "0.5"))
    assert "bias_gate: data/bias_gate/verdict.json cannot be trusted: its digest" in ended(dvc=255)[1]


def test_a_stage_crashed(ended):
    close("bias_gate")  # of an earlier run
    code, text = ended(dvc=255, stale=["label", "bias_gate"])
    assert code == 1
    assert "a stage failed, see its message above; nothing was released" in text
    assert "bias_gate not reached" in text


def test_pages_of_an_earlier_run_are_not_shown(ended):
    for page in ("model_card.html", "data_report.html"):
        Path("data/pages").mkdir(parents=True, exist_ok=True)
        Path("data/pages", page).write_text("of an earlier run")
    close("bias_gate")
    _, text = ended(dvc=255, stale=["baseline", "evaluate", "promote"])
    assert "data/pages/data_report.html" in text
    assert "model_card.html" not in text


def test_an_override_is_named_with_who_and_why(ended):
    close("bias_gate")
    record_override(
        outputs(),
        stage="bias_gate",
        who="Dana",
        when="2026-01-02T03:04:05+00:00",
        why="reviewed by the fairness board",
    )
    _, text = ended(outcome=RELEASED)
    assert "bias_gate overridden" in text
    assert "overridden by Dana on 2026-01-02: reviewed by the fairness board. It was closed by harm failed: 0.4" in text
    close("label")
    assert "label closed" in ended(outcome=RELEASED)[1]


def test_a_stage_that_crashes_behind_an_overridden_gate_is_no_closed_gate(ended):
    close("bias_gate")
    record = record_override(outputs(), stage="bias_gate", who="Dana", when="2026-01-02", why="reviewed by the board")
    code, text = ended(dvc=255, stale=["baseline", "evaluate", "promote"])
    assert code == 1
    assert "a stage failed, see its message above" in text
    record.write_text(record.read_text().replace("Dana", "Eve"))
    code, text = ended(dvc=255, stale=["baseline", "evaluate", "promote"])
    assert code == 65
    assert "Eve" not in text


def test_rejected_rows_are_shown_by_reason_the_most_frequent_first(ended):
    rows = {"read": 130, "accepted": 100, "rejected": 29, "without_text": 1}
    causes = {f"rejected: column_{n} is missing": n for n in range(1, 8)} | {"rejected: [gone]": 1}
    outputs().write_metrics(
        "ingest", {"rows": rows, "reasons": {**causes, "without_text: the text is empty": 1}}, headline={}
    )
    text = ended(dvc=255, stale=["dedupe"])[1]
    assert "29 rejected, 1 without text" in text
    assert "rejected 7 column_7 is missing rejected 6 column_6 is missing rejected 5 column_5" in text
    assert "rejected 4 for 3 more reasons, in data/ingest/metrics.json" in text
    assert "column_2" not in text
