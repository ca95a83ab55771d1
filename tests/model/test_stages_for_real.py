"""Both training stages as processes on the real base model: equal bytes twice, and after kill -9 in the middle."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROWS, PATIENCE_S = 800, 1200
TOPICS = {
    "credit_reporting": "the bureau lists account {n} on my credit report that belongs to another",
    "debt_collection": "a collector calls {n} times a day about a debt that is not mine",
    "mortgage": "my mortgage servicer lost payment {n} and threatens foreclosure",
    "card": "a charge of {n} dollars that I never made is on my credit card",
}


@pytest.fixture
def checkout(tmp_path, repository) -> Path:
    """This repository's code with the outputs of split, label and bias_gate made by hand."""
    root = tmp_path / "checkout"
    for name in ("pipelines", "params.yaml"):
        source = repository / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        root.mkdir(exist_ok=True)
        copy(source, root / name)
    yaml = YAML()
    params = yaml.load(root / "params.yaml")
    params["finetune"]["evaluate_every"] = 4
    yaml.dump(params, root / "params.yaml")
    subprocess.run([sys.executable, "-c", MAKE], cwd=root, check=True, env=environment(tmp_path), timeout=PATIENCE_S)
    return root


MAKE = f"""
import numpy as np, pandas as pd
from pipelines.runtime.project import Project
from pipelines.records.domain import Domain
from pipelines.gates.verdict import Check, Verdict
project = Project.open()
store, schema = project.store, Domain(project.domain_folder).schema
random = np.random.default_rng(0)
topics = {TOPICS!r}
names = [list(topics)[n % len(topics)] for n in range({ROWS})]
words = ["bank", "letter", "again", "still", "money", "phone", "never"]
noise = lambda: " ".join(random.choice(words, random.integers(3, 40)))
frame = pd.DataFrame({{
    "id": [f"r{{n}}" for n in range({ROWS})],
    "text": [topics[name].format(n=n) + " " + noise() for n, name in enumerate(names)],
    "part": ["validation" if n % 5 == 0 else "train" for n in range({ROWS})],
    "gold": names,
}})
for feature in schema.features:
    frame[feature.name] = random.normal(size={ROWS}) if feature.kind == "number" else random.choice(["a", "b"], {ROWS})
store.write_records("split", frame)
train = frame[frame["part"] == "train"]
weak = train[["id"]].assign(training_label=train["gold"], label_source="functions")
for label in schema.labels:
    weak["soft_" + label] = np.where(train["gold"] == label, 0.9, 0.1 / (len(schema.labels) - 1))
store.write_records("label", weak)
store.write_records("bias_gate", train[["id"]].assign(weight=1.0))
check = Check.at_least("sound", 1.0, limit=0.5, rows=9, min_rows=1, required=True, sentence="made by hand")
store.write_verdict(Verdict.of("bias_gate", [check]))
"""


def environment(tmp_path: Path) -> dict[str, str]:
    """A private state root, and fixed hashes."""
    return {**os.environ, "PERENNIAL_HOME": str(tmp_path / "home"), "PYTHONPATH": ".", "HF_HUB_OFFLINE": "1"}


def start(stage: str, root: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"pipelines.stages.{stage}"]
    with (root.parent / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=root, env=environment(root.parent), stdout=log, stderr=log)


def digests(stage: str, root: Path) -> dict[str, str]:
    files = [file for file in sorted((root / "data" / stage).rglob("*")) if file.is_file()]
    assert any(file.name == "predictor.json" for file in files)
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def run(stage: str, root: Path) -> dict[str, str]:
    assert start(stage, root).wait(timeout=PATIENCE_S) == 0, (root.parent / "log").read_text()[-3000:]
    return digests(stage, root)


def forget(stage: str, root: Path) -> None:
    """Leave neither outputs nor checkpoints of a stage."""
    shutil.rmtree(root / "data" / stage)
    shutil.rmtree(root.parent / "home" / "checkpoints", ignore_errors=True)


@pytest.mark.long
@pytest.mark.model
@pytest.mark.timeout(2 * PATIENCE_S)
def test_baseline_twice_gives_equal_bytes(checkout):
    first = run("baseline", checkout)
    forget("baseline", checkout)
    assert run("baseline", checkout) == first


@pytest.mark.long
@pytest.mark.model
@pytest.mark.chaos
@pytest.mark.timeout(3 * PATIENCE_S)
def test_finetune_twice_and_killed_gives_equal_bytes(checkout):
    first = run("finetune", checkout)
    forget("finetune", checkout)
    assert run("finetune", checkout) == first
    forget("finetune", checkout)

    process = start("finetune", checkout)
    saved = checkout.parent / "home" / "checkpoints"
    until = time.monotonic() + PATIENCE_S
    while not list(saved.rglob("state.safetensors")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, "finetune ended before a checkpoint was seen"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (checkout / "data" / "finetune" / "model" / "predictor.json").exists()
    assert run("finetune", checkout) == first
    assert "where an earlier run was stopped" in (checkout.parent / "log").read_text()
