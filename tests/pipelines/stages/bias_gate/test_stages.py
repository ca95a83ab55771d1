"""Stages label and bias_gate as processes see them: files in, files out, the same bytes twice, readable refusals."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.gates.verdict import Check, Verdict
from pipelines.reporting.pages import render_page
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store

LABELS = ("refuse", "grant")
SCHEMA = '''"""Letters."""
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
SCHEMA = DomainSchema(
    name="letters", labels=("refuse", "grant"), features=(Feature("size", kind="number"),),
    protected=(ProtectedAttribute("veteran", member="veterans", rest="civilians"),), no_protected_because=None,
    favorable_labels=(), strata=(), gold_delay_days=0, required_columns=(), requires_text=True,
)
'''
FUNCTIONS = '''"""Votes."""
from pipelines.records.labeling import labeling_function, pattern
says_no = pattern("says_no", "refuse", r"\\bno\\b", fires_on="No!", abstains_on="yes")
says_yes = pattern("says_yes", "grant", r"\\byes\\b", fires_on="Yes!", abstains_on="no")
@labeling_function(label="grant", fires_on="welcome", abstains_on="")
def welcomes(record):
    """Who is welcome is let in."""
    return "welcome" in record["text"]
'''
PARAMS = """label: {min_kappa: 0.6, min_coverage: 0.5, min_class_coverage: 0.3, min_class_rows: 5}
bias_gate: {}
"""


@pytest.fixture
def workspace(tmp_path: Path, repository: Path) -> Project:
    """A checkout with a small domain and what the stages before have left."""
    folder = tmp_path / "letters"
    folder.mkdir()
    for name, content in (("schema.py", SCHEMA), ("labeling_functions.py", FUNCTIONS), ("params.yaml", PARAMS)):
        (folder / name).write_text(content, encoding="utf-8")
    params = (repository / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(
        "\n".join(f"domain: {folder}" if line.startswith("domain:") else line for line in params.splitlines()) + "\n",
        encoding="utf-8",
    )
    store = Store(tmp_path / "data")
    generator = np.random.default_rng(0)
    n = 900
    gold = generator.integers(0, 2, n)
    stated = np.where(generator.random(n) < 0.95, gold, 1 - gold)
    odd = {0: "\x00yes", 1: "<script>no</script>", 2: "yes " * 50_000, 3: ""}
    records = pd.DataFrame(
        {
            "id": pd.array([f"r{i:04d}" for i in range(n)], dtype="string"),
            "text": pd.array([odd.get(i, ("no", "yes")[s] + f" {i}") for i, s in enumerate(stated)], dtype="string"),
            "received_at": (pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(range(n), unit="h")).astype(
                "datetime64[us, UTC]"
            ),
            "entity": pd.array([None] * n, dtype="string"),
            "gold": pd.array([LABELS[g] for g in gold], dtype="string"),
            "gold_at": pd.Series([pd.NaT] * n, dtype="datetime64[us, UTC]"),
            "size": generator.random(n),
            "veteran": pd.array(generator.integers(0, 2, n), dtype="Int8"),
            "part": np.where(np.arange(n) < 600, "train", "validation"),
        }
    )
    store.write_records("split", records)
    store.write_records("ingest", records.drop(columns="part"))
    store.write_records("dedupe", pd.DataFrame({"id": pd.array([], dtype="string"), "reason": []}), name="dropped")
    store.write_metrics("ingest", {"rows": {"read": n, "accepted": n}, "reasons": {}}, headline={})
    store.write_metrics("dedupe", {"rows_in": n, "kept": n, "dropped": {}}, headline={})
    store.write_metrics("split", {"parts": {"train": 600, "validation": 300}, "discarded": {}}, headline={})
    for stage in ("ingest", "dedupe", "split"):
        fine = Check.at_least("rows", n, limit=1, rows=n, min_rows=1, required=True, sentence="rows are there")
        store.write_verdict(Verdict.of(stage, [fine]))
    return Project.open(tmp_path, environment={})


def run_both(project: Project) -> dict[str, str]:
    from pipelines.stages.bias_gate.__main__ import main as bias_gate
    from pipelines.stages.label.__main__ import main as label

    label(project)
    bias_gate(project)
    files = [file for stage in ("label", "bias_gate") for file in (project.store.folder / stage).iterdir()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


@pytest.mark.slow
def test_both_stages_write_the_promised_files_and_the_same_bytes_twice(workspace):
    store = workspace.store
    first = run_both(workspace)
    assert first == run_both(workspace)
    assert {Path(name).name for name in first} == {
        *("records.parquet", "votes.parquet", "queue.parquet", "functions.csv", "parity.csv"),
        *("metrics.json", "verdict.json"),
    }
    labeled, votes = store.read_records("label"), store.read_records("label", name="votes")
    assert labeled.columns.tolist() == [
        *("id", "weak_label", "soft_refuse", "soft_grant", "n_votes"),
        *("training_label", "label_source", "label_confidence"),
    ]
    assert votes.columns.tolist() == ["id", "says_no", "says_yes", "welcomes"]
    assert (votes.dtypes.iloc[1:] == "int16").all()
    weights = store.read_records("bias_gate")
    train = store.read_records("split").query("part == 'train'")["id"]
    assert set(weights["id"]) == set(labeled.dropna(subset="training_label")["id"]) & set(train)
    assert store.read_json("label", "verdict.json")["passed"]
    assert store.read_json("bias_gate", "verdict.json")["passed"]
    html, missing = render_page(store, "data_report")
    assert missing == ()
    assert "<script>no" not in html


def test_a_closed_gate_before_stops_both(workspace):
    from pipelines.stages.bias_gate.__main__ import main as bias_gate
    from pipelines.stages.label.__main__ import main as label

    bad = Check.at_least("leak", 0.0, limit=1, rows=9, min_rows=1, required=True, sentence="a column leaks")
    workspace.store.write_verdict(Verdict.of("split", [bad]))
    with pytest.raises(GateClosed, match="leak failed"):
        label(workspace)
    with pytest.raises(GateClosed, match="gate 'label' is closed"):
        bias_gate(workspace)


def test_a_function_that_raises_stops_the_stage_and_writes_nothing(workspace):
    from pipelines.stages.label.__main__ import main as label

    with (workspace.root / "letters" / "labeling_functions.py").open("a") as file:
        file.write(
            "@labeling_function(label='grant', fires_on={'color': 'red'}, abstains_on={'color': ''})\n"
            "def breaks(record):\n    return record['color'] == 'red'\n"
        )
    with pytest.raises(InputError, match=r"'breaks' failed on record 'r0000': KeyError: .*no field 'color'"):
        label(workspace)
    assert not (workspace.store.folder / "label").exists()
