"""The stage on records without texts: no model, its reason, and no base model loaded."""

import pandas as pd
import pytest
import yaml

from pipelines.gates.verdict import Check, Verdict
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, folder_digest
from pipelines.stages.finetune import __main__ as finetune
from pipelines.training.absence import NO_TEXT, absence_of
from tests.factories.finetuning import finetune_params

SCHEMA = '''"""Loans."""
from pipelines.records.schema import DomainSchema, Feature
SCHEMA = DomainSchema(
    name="loans", labels=("card", "loan"), features=(Feature("amount", kind="number"),),
    protected=(), no_protected_because="made up", favorable_labels=(), strata=(), gold_delay_days=7,
    required_columns=(), requires_text=False,
)
'''


@pytest.fixture
def workspace(tmp_path):
    store, domain = Store(tmp_path / "data"), tmp_path / "domain"
    domain.mkdir()
    (domain / "schema.py").write_text(SCHEMA)
    (domain / "params.yaml").write_text("{}\n")
    section = finetune_params(tmp_path / "models", soft_labels=False).model_dump(mode="json")
    base = section.pop("base_model") | {"name": "tests/missing"}
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(
            {
                "domain": "domain",
                "resources": {"threads": 1, "seed": 7},
                "base_model": base,
                "finetune": section,
            }
        )
    )
    ids = [str(n) for n in range(20)]
    gold = ["card", "loan"] * 10
    records = pd.DataFrame({"id": ids, "part": "train", "gold": gold, "amount": 1.0})
    records["text"] = pd.Series([None, ""] * 10, dtype="string")
    store.write_records("split", records)
    store.write_records("label", records[["id"]].assign(training_label=gold, label_source="gold"))
    store.write_records("bias_gate", records[["id"]].assign(weight=1.0))
    check = Check.at_least("x", 1.0, limit=1, rows=1, min_rows=0, required=True, sentence="x")
    store.write_verdict(Verdict.of("bias_gate", [check]))
    return Project.open(tmp_path, environment={"PERENNIAL_MODELS": str(tmp_path / "models")})


def test_a_run_without_texts_gives_the_reason_for_having_no_fine_tuned_model(workspace):
    finetune.main(workspace)
    assert absence_of(workspace.store.path("finetune", "model")) == NO_TEXT
    metrics = workspace.store.read_metrics("finetune")
    assert metrics == {"absent": NO_TEXT, "train_rows_available": 20}
    assert workspace.store.read_table("finetune", "curve.csv").empty
    first = folder_digest(workspace.store.path("finetune"))
    finetune.main(workspace)
    assert folder_digest(workspace.store.path("finetune")) == first
