"""The same overrides on a laptop and under Airflow give the same parameters, byte for byte."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from pipelines.live.release.job import prepare

OVERRIDES = {
    "a number": {"dedupe.min_rows": 31},
    "a float written as an integer": {"promote.margin": 0},
    "a list": {"label.chosen_on": ["train", "validation"]},
    "null": {"ingest.source": None, "finetune.learning_rate": 2e-05},
    "a parameter of the domain's file only": {"simulator.rows_per_day": 25},
    "a value that two stages share": {"near_duplicates.threshold": 0.9},
    "several, with a window": {"evaluate.min_rows": 150, "owner": "someone@example.com"},
}
WINDOW = {"several, with a window": ("2025-03-03", "2025-09-01")}


def copy_of(folder, repository):
    for name in ("params.yaml", "pipelines/domains/complaints/params.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((repository / name).read_bytes())
    return folder


def nested(overrides):
    made = {}
    for name, value in overrides.items():
        *sections, last = name.split(".")
        tree = made
        for section in sections:
            tree = tree.setdefault(section, {})
        tree[last] = value
    return made


@pytest.mark.parametrize("what", OVERRIDES)
def test_a_laptop_and_airflow_write_the_same_parameters(what, tmp_path, repository):
    laptop, airflow = (copy_of(tmp_path / name, repository) for name in ("laptop", "airflow"))
    start, end = WINDOW.get(what, (None, None))
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(nested(OVERRIDES[what])))
    prepare(laptop, environment={}, params=str(tmp_path / "over.yaml"), start=start, end=end)
    (tmp_path / "over.json").write_text(json.dumps(OVERRIDES[what]))
    command = [sys.executable, "-m", "pipelines", "params", "set", "--file", str(tmp_path / "over.json")]
    command += ["--start", start, "--end", end] if start else []
    environment = {"PYTHONPATH": str(repository), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=airflow, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (laptop / "params.yaml").read_bytes() == (airflow / "params.yaml").read_bytes()
    assert (laptop / "params.yaml").read_bytes() != (repository / "params.yaml").read_bytes() or what == "null"
