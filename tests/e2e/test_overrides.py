"""The same overrides on a laptop and under Airflow give the same `dvc.lock`, digest by digest."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.factories.checkout import Checkout, output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]
OVERRIDES = {
    "near_duplicates.threshold": 0.9,  # shared by dedupe and split
    "simulator.rows_per_day": 14,  # in the domain's file only
    "label.chosen_on": ["train", "validation"],
    "dedupe.min_rows": 31,
    "split.embargo_days": 2,
    "finetune.learning_rate": 2e-05,
}
SECTIONS = {
    "near_duplicates": {"threshold": 0.9},
    "simulator": {"rows_per_day": 14},
    "label": {"chosen_on": ["train", "validation"]},
    "dedupe": {"min_rows": 31},
    "split": {"embargo_days": 2},
    "finetune": {"learning_rate": 2e-05},
}
LAST = "split"  # far enough: both users of the shared value have run


def lock_after(checkout: Checkout, file: str) -> dict:
    """Apply a file of overrides, run the stages, and return the lock."""
    applied = checkout.run("python", "-m", "pipelines", "params", "set", "--file", file, "--end", "2025-09-01")
    assert applied.returncode == 0, output_of(applied)
    assert checkout.run("python", "-m", "pipelines", "pin").returncode == 0
    answer = checkout.dvc("repro", LAST)
    assert answer.returncode == 0, output_of(answer)
    return yaml.safe_load((checkout.root / "dvc.lock").read_text(encoding="utf-8"))


def test_both_ways_lead_to_one_lock(tmp_path) -> None:
    base = Checkout(tmp_path / "base").make()
    laptop, airflow = base.copy(tmp_path / "laptop"), base.copy(tmp_path / "airflow")
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(SECTIONS))
    (tmp_path / "over.json").write_text(json.dumps(OVERRIDES))
    locks = [lock_after(laptop, str(tmp_path / "over.yaml")), lock_after(airflow, str(tmp_path / "over.json"))]
    assert locks[0] == locks[1]
    parameters = {name: stage["params"]["params.yaml"] for name, stage in locks[0]["stages"].items()}
    assert parameters["dedupe"]["near_duplicates"]["threshold"] == 0.9
    assert parameters["split"]["near_duplicates"]["threshold"] == 0.9
