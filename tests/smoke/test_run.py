"""The two commands of a newcomer on a small stream: a released champion, and a summary that explains it."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.factories.checkout import output_of, stages_run

ELSEWHERE = r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//"

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]


def test_the_run_ends_with_a_champion_and_reports_it(released):
    text = released.first.stdout
    assert "version 1 is champion now" in text, output_of(released.first)
    assert re.search(r"pre-flight, single: p50 \d+ ms, p95 \d+ ms, p99 \d+ ms, \d+ records/s", text)


@pytest.mark.parametrize(
    "what",
    [
        r"read from the source\s+[\d,]+",
        r"accepted\s+[\d,]+",
        r"near duplicates dropped",
        r"\d+ recent, [\d,]+ train",
        r"with a weak label\s+[\d,]+\s+coverage \d+\.\d%",
        r"Cohen's kappa 0\.\d+ \[0\.\d+, 0\.\d+\]",
        r"bias_gate\s+open",
        r"promote\s+open",
        r"baseline\s+0\.\d+",
        r"finetune\s+0\.\d+",
        r"chosen",
        r"released",
        r"data/pages/model_card\.html",
        r"data/pages/data_report\.html",
        r"make mlflow",
        r"make rollback REASON=",
        r"took\s+\d+ s",
    ],
)
def test_the_summary_answers_a_newcomers_questions(released, what):
    assert re.search(what, released.first.stdout), output_of(released.first)


def test_every_stage_wrote_its_declared_outputs(released):
    for stage, paths in released.graph().items():
        for path in paths:
            target = released.root / path
            assert target.is_dir() or target.stat().st_size > 0, (stage, path)


def test_the_checkout_is_clean_but_for_the_parameters_that_were_asked_for(released):
    assert released.git("status", "--porcelain").splitlines() == ["M params.yaml"]


def test_a_second_repro_has_nothing_to_do(released):
    answer = released.dvc("repro")
    assert answer.returncode == 0, output_of(answer)
    assert stages_run(answer) == ["source"], output_of(answer)


def test_metrics_plots_and_params_of_a_run_are_shown(released):
    metrics = released.dvc("metrics", "show", "--json")
    assert metrics.returncode == 0, output_of(metrics)
    for stage in released.graph():
        assert f"data/{stage}/metrics.json" in metrics.stdout or stage in ("source", "promote")
    changed = released.dvc("params", "diff", "--json")
    assert changed.returncode == 0, output_of(changed)
    assert json.loads(changed.stdout)["params.yaml"]["ingest.start"]["new"] == "2025-01-06"
    plots = released.dvc("plots", "show", "--out", str(released.home / "plots"))
    assert plots.returncode == 0, output_of(plots)
    page = (released.home / "plots" / "index.html").read_text(encoding="utf-8")
    for title in ("Duplicates dropped, by group", "Labeling functions: accuracy", "Who has a label"):
        assert title in page


def test_the_page_of_plots_loads_nothing_from_elsewhere(released):
    template = Path(sys.prefix) / "share" / "dvc-plots.html"
    if not template.exists():
        pytest.skip(f"{template} is missing: these tests do not run in the environment of `make setup-pipeline`")
    config = released.root / ".dvc" / "config.local"
    before = config.read_text(encoding="utf-8")
    config.write_text(f"{before}[plots]\n    html_template = {template}\n", encoding="utf-8")
    try:
        plots = released.dvc("plots", "show", "--out", str(released.home / "offline"))
    finally:
        config.write_text(before, encoding="utf-8")
    assert plots.returncode == 0, output_of(plots)
    page = (released.home / "offline" / "index.html").read_text(encoding="utf-8")
    assert "window.vegaEmbed" in page or "vegaEmbed=" in page
    assert "Labeling functions: accuracy" in page
    assert not re.findall(ELSEWHERE, page)


@pytest.mark.parametrize("page", ["data/pages/model_card.html", "data/pages/data_report.html"])
def test_a_page_loads_nothing_from_elsewhere(released, page):
    text = (released.root / page).read_text(encoding="utf-8")
    assert not re.findall(ELSEWHERE, text)


def test_history_and_verify_agree(released):
    history = json.loads(released.release("history", "--json").stdout)
    assert [(line["action"], line["from"], line["to"]) for line in history] == [("release", None, 1)]
    verified = released.release("verify")
    assert verified.returncode == 0, output_of(verified)
    assert json.loads(verified.stdout) == {"champion": 1, "history_lines": 1, "signed": False, "intact": True}


def test_there_is_nothing_to_roll_back_to(released):
    answer = released.release("rollback", "--reason", "it answers nonsense")
    assert answer.returncode == 66
    assert "no champion before version 1" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_same_once_more_keeps_the_champion_and_registers_nothing(released, tmp_path):
    checkout = released.copy(tmp_path, home=released.home)
    second = checkout.release("run")
    assert second.returncode == 0, output_of(second)
    assert "kept" in second.stdout, output_of(second)
    assert checkout.json("data/champion.json")["version"] == 1
    assert checkout.json("data/promote/decision.json")["action"] == "keep"
    assert len(json.loads(checkout.release("history", "--json").stdout)) == 1
    assert len(list((released.home / "artifacts").rglob("MLmodel"))) == 1
    again = checkout.dvc("repro")
    assert stages_run(again) == ["source"], output_of(again)
