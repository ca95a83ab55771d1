"""The whole stage on a small workspace with made-up models: what it writes, twice the same, and what stops it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release.registration import macro_f1_scores
from pipelines.live.release.summary_tables import LastRun, candidates_table
from pipelines.models.predictor import Predictor
from pipelines.reporting.pages import render_page
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, folder_digest
from pipelines.stages.evaluate import __main__ as evaluate
from pipelines.stages.promote.evidence import read_evaluated
from pipelines.training.absence import write_absence
from pipelines.training.validation import write_validation
from tests.factories.blends import write_tiny_pair
from tests.factories.shop import LABELS, PARAMS, gold, model_probabilities

SCHEMA = '''"""Mail of a shop, and where it goes."""
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
SCHEMA = DomainSchema(
    name="shop", labels=("refund", "delivery", "praise"),
    features=(Feature("channel", kind="category"), Feature("amount", kind="number")),
    protected=(ProtectedAttribute("senior", member="seniors", rest="others"),), no_protected_because=None,
    favorable_labels=(), strata=(), gold_delay_days=7, required_columns=(), requires_text=True,
)
'''
BEHAVIORS = """
from pipelines.records.behaviors import invariance
case = invariance("case", texts=["refund me"], change=str.upper, at_least=1.0, doc="shouting changes nothing")
"""


def gate(store, stage, *, passed=True):
    check = Check.at_least("x", float(passed), limit=1, rows=1, min_rows=0, required=True, sentence="x")
    store.write_verdict(Verdict.of(stage, [check]))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    store = Store(tmp_path / "data")
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "schema.py").write_text(SCHEMA)
    (tmp_path / "domain" / "behaviors.py").write_text(BEHAVIORS)
    (tmp_path / "domain" / "params.yaml").write_text("evaluate: {min_scores: {accuracy: 0.7}, max_losses: {}}\n")
    section = PARAMS.model_dump(mode="json") | {"min_scores": None, "max_losses": None}
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({"domain": "domain", "resources": {"threads": 1, "seed": 7}, "evaluate": section})
    )
    parts = {"recent": gold(600), "anchor": gold(400, seed=5), "train": gold(50, seed=6)}
    frames = [rows.assign(part=part, id=part + rows["id"]) for part, rows in parts.items()]
    store.write_records("split", pd.concat(frames, ignore_index=True))
    train = frames[2]
    store.write_records("label", train[["id"]].assign(training_label=train["gold"], label_source="gold"))
    store.write_records("bias_gate", train[["id"]].assign(weight=1.0))
    for stage in evaluate.GATES:
        gate(store, stage)
    for stage in evaluate.MEASURED:
        store.write_metrics(stage, {"rows": 5}, headline={})
    for name in ("baseline", "finetune"):
        store.write_json(name, "model/predictor.json", {"kind": name, "encoder": {"name": "tiny", "sha256": "ab" * 32}})

    class Model:
        labels = LABELS
        right = {"baseline": 0.8, "finetune": 0.9}

        @classmethod
        def load(cls, folder, **_):
            made = cls()
            made.chance = cls.right[json.loads((folder / "predictor.json").read_text())["kind"]]
            return made

        def predict_proba(self, rows, **_):
            if "gold" not in rows:
                return np.tile([0.6, 0.3, 0.1], (len(rows), 1))
            return model_probabilities(rows, right=self.chance, seed=len(rows))

    monkeypatch.setattr(evaluate, "Predictor", Model)
    return Project.open(tmp_path, environment={}), Model


def read(project, name):
    return project.store.read_json("evaluate", name)


def test_everything_that_is_promised_is_written(workspace):
    project, _ = workspace
    evaluate.main(project)
    verdict, content = read(project, "verdict.json"), read(project, "metrics.json")
    metrics = content.pop("details")[0]
    assert content["candidate"] == "finetune" and content["macro_f1"] == metrics["finetune"]["recent"]["macro_f1"]
    assert metrics["choice"]["candidate"] == "finetune"
    assert metrics["models"]["finetune"] == folder_digest(project.root / "data/finetune/model")
    assert metrics["behaviors"]["finetune"] == {"case": 1.0, "odd_input": 1.0}
    assert verdict["passed"]
    predictions = pd.read_parquet(project.root / "data/evaluate/predictions.parquet")
    assert predictions.groupby(["candidate", "part"]).size().to_dict() == {
        (name, part): n for name in ("baseline", "finetune") for part, n in {"anchor": 400, "recent": 600}.items()
    }
    digests = [digest for _, digest in metrics["card"]["lineage"]]
    assert "ab" * 32 in digests
    assert metrics["models"]["finetune"] in digests
    html, missing = render_page(project.store, "model_card")
    assert missing == ()
    assert metrics["models"]["finetune"] in html
    assert len(pd.read_csv(project.root / "data/evaluate/slices.csv")) > 10
    assert set(pd.read_csv(project.root / "data/evaluate/reliability.csv")["candidate"]) == {"baseline", "finetune"}


def test_the_same_inputs_give_the_same_bytes(workspace):
    project, _ = workspace
    evaluate.main(project)
    first = folder_digest(project.root / "data/evaluate")
    evaluate.main(project)
    assert folder_digest(project.root / "data/evaluate") == first


def test_the_floor_of_the_domain_closes_the_gate(workspace):
    project, model = workspace
    model.right = {"baseline": 0.6, "finetune": 0.55}
    evaluate.main(project)
    verdict = read(project, "verdict.json")
    assert not verdict["passed"]
    assert "recent_accuracy" in [check["name"] for check in verdict["checks"] if check["outcome"] == "failed"]


def test_no_gold_row_at_all_closes_the_gate_without_a_crash(workspace):
    project, _ = workspace
    rows = project.store.read_records("split")
    project.store.write_records("split", rows.assign(gold=pd.Series(None, index=rows.index, dtype="string")))
    evaluate.main(project)
    assert not read(project, "verdict.json")["passed"]


def test_a_closed_gate_before_it_stops_the_stage(workspace):
    project, _ = workspace
    gate(project.store, "label", passed=False)
    with pytest.raises(GateClosed, match="gate 'label' is closed"):
        evaluate.main(project)


def test_a_model_of_another_label_set_stops_the_stage(workspace):
    project, model = workspace
    model.labels = ("refund", "delivery", "legal")
    with pytest.raises(InputError, match="train it again"):
        evaluate.main(project)


def test_a_run_without_a_fine_tuned_model_evaluates_its_baseline(workspace):
    project, _ = workspace
    shutil.rmtree(project.root / "data/finetune/model")
    (project.root / "data/finetune/model").mkdir()
    write_absence(project.root / "data/finetune/model", "no text to learn from")
    evaluate.main(project)
    metrics, verdict = read(project, "metrics.json")["details"][0], read(project, "verdict.json")
    assert metrics["absent"] == {"finetune": "no text to learn from", "blend": "there is no fine-tuned model"}
    assert metrics["choice"]["candidate"] == "baseline"
    assert metrics["choice"]["macro_f1_difference"] is None
    assert "no text to learn from" in metrics["choice"]["why"]
    assert set(metrics["models"]) == set(metrics["behaviors"]) == {"baseline"}
    assert "finetune" not in metrics
    assert verdict["passed"]
    predictions = pd.read_parquet(project.root / "data/evaluate/predictions.parquet")
    assert set(predictions["candidate"]) == {"baseline"}
    assert read_evaluated(project.root / "data/evaluate").candidate == "baseline"
    html, missing = render_page(project.store, "model_card")
    assert missing == () and "no text to learn from" in html
    assert {name.split("_")[2] for name in macro_f1_scores(metrics)} == {"baseline", "reference"}
    assert candidates_table(LastRun(project.store, stale=())).row_count == 2


@pytest.fixture
def with_models(workspace, tmp_path, monkeypatch):
    """The workspace with two real small models on one tiny base model, and gold validation rows."""
    project, _ = workspace
    monkeypatch.setattr(evaluate, "Predictor", Predictor)
    for name in ("baseline", "finetune"):
        shutil.rmtree(project.root / "data" / name / "model")
    write_tiny_pair(project.store.folder, models=tmp_path / "models", labels=LABELS)
    held = gold(80, seed=7).assign(part="validation")
    held["id"] = "validation" + held["id"]
    project.store.write_records("split", pd.concat([project.store.read_records("split"), held], ignore_index=True))
    for seed, name in enumerate(("baseline", "finetune")):
        write_validation(project.store, name, held, model_probabilities(held, right=0.7, seed=seed), labels=LABELS)
    return Project.open(tmp_path, environment={"PERENNIAL_MODELS": str(tmp_path / "models")})


def test_a_blend_is_measured_packaged_and_the_same_twice(with_models):
    project = with_models
    evaluate.main(project)
    metrics = read(project, "metrics.json")["details"][0]
    assert metrics["models"]["blend"] == folder_digest(project.root / "data/evaluate/blend")
    assert metrics["blend_weight"]["validation_rows"] == 80
    assert set(metrics["behaviors"]) == {"baseline", "finetune", "blend"}
    assert metrics["choice"]["blend"]["against"] in ("baseline", "finetune")
    table = project.store.read_records("evaluate", name="predictions")
    assert set(table["candidate"]) == {"baseline", "finetune", "blend"}
    rows = project.store.read_records("split").set_index("id")
    mine = table[(table["candidate"] == "blend") & (table["part"] == "recent")].head(30)
    found = Predictor.load(project.root / "data/evaluate/blend", models_folder=project.models_folder)
    expected = mine[[f"p_{label}" for label in LABELS]].to_numpy()
    np.testing.assert_allclose(found.predict_proba(rows.loc[mine["id"]].reset_index()), expected, atol=1e-6)
    assert read(project, "verdict.json")["checks"][-1]["value"] == len(table) == 3000
    html, missing = render_page(project.store, "model_card")
    assert missing == () and "Latency of one record" in html and metrics["models"]["blend"] in html
    first = folder_digest(project.root / "data/evaluate")
    evaluate.main(project)
    assert folder_digest(project.root / "data/evaluate") == first


def test_latencies_of_other_models_are_not_shown(with_models):
    evaluate.main(with_models)
    content = with_models.store.read_json("latency", "latency.json")
    assert content["candidates"]["baseline"]["ratio"] == 1.0
    with_models.store.write_json("latency", "latency.json", content | {"models": {"baseline": "another"}})
    html, _ = render_page(with_models.store, "model_card")
    assert "Latency of one record" not in html
