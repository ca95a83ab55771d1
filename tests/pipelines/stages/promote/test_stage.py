"""The whole stage on a small workspace: real files, a champion as release pins it, and models that are made up."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipelines.gates.verdict import Check, Verdict
from pipelines.profile.profile import Profile
from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.project import Project
from pipelines.runtime.store import Store, file_digest, folder_digest
from pipelines.stages.promote import __main__ as promote

LABELS = ("refund", "delivery", "praise")
SCHEMA = """
from pipelines.records.schema import DomainSchema, Feature
SCHEMA = DomainSchema(
    name="shop", labels=("refund", "delivery", "praise"), features=(Feature("channel", kind="category"),), protected=(),
    no_protected_because="only machines write", favorable_labels=(), strata=(), gold_delay_days=7, required_columns=(),
    requires_text=True,
)
"""


def predicted(rows, *, right, seed):
    draw = np.random.default_rng(seed)
    truth = np.array([LABELS.index(label) for label in rows["gold"]])
    code = np.where(draw.random(len(rows)) < right, truth, (truth + draw.integers(1, 3, len(rows))) % 3)
    return pd.DataFrame({"id": rows["id"], "label": [LABELS[c] for c in code], "confidence": 0.8})


class Workspace:
    """A repository's `data/` with everything that promote reads."""

    def __init__(self, root: Path, repository: Path):
        self.root, self.store = root, Store(root / "data")
        params = yaml.safe_load((repository / "params.yaml").read_text())["promote"]
        params |= {"resamples": 200, "embedded_rows": 0, "predicted_rows": 50}
        (root / "domain").mkdir()
        (root / "domain" / "schema.py").write_text(SCHEMA)
        (root / "domain" / "params.yaml").write_text("promote: {}\n")
        resources = {"threads": 1, "seed": 7}
        (root / "params.yaml").write_text(
            yaml.safe_dump({"domain": "domain", "resources": resources, "promote": params})
        )
        draw = np.random.default_rng(0)
        n = 1600
        self.records = pd.DataFrame(
            {
                "id": pd.Series([f"r{i}" for i in range(n)], dtype="string"),
                "text": pd.Series([f"mail number {i}" for i in range(n)], dtype="string"),
                "received_at": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) // 10, unit="D"),
                "entity": pd.Series([None] * n, dtype="string"),
                "gold": pd.Series(draw.choice(LABELS, n), dtype="string"),
                "channel": pd.Series(draw.choice(["web", "phone"], n), dtype="string"),
                "part": pd.Series(["anchor"] * 300 + ["train"] * 500 + ["recent"] * 800, dtype="string"),
            }
        )
        self.recent, self.anchor = (self.records[self.records["part"] == part] for part in ("recent", "anchor"))
        self.store.write_records("split", self.records)
        self.store.write_records("ingest", self.records.drop(columns="part"))
        for stage in promote.GATES:
            self.gate(stage, passed=True)
        self.store.write_text("baseline", "model/predictor.json", "a model")
        (root / "data" / "champion").mkdir()
        (root / "data" / "champion" / "NONE").write_text("none")
        self.store.write_json(".", "champion.json", {"version": None})
        self.candidate(right=0.85)

    def gate(self, stage, *, passed, **details):
        named = {"name": "answers_written", "details": details} if details else {"name": "x"}
        check = Check.at_least(value=float(passed), limit=1, rows=1, min_rows=0, required=True, sentence="x", **named)
        self.store.write_verdict(Verdict.of(stage, [check]))

    def candidate(self, *, right, digest=None, permuted=False):
        tables = [
            predicted(rows, right=right, seed=k).assign(part=part, candidate="baseline")
            for k, (part, rows) in enumerate({"recent": self.recent, "anchor": self.anchor}.items())
        ]
        frame = pd.concat(tables, ignore_index=True)
        if permuted:
            frame["label"] = frame["label"].sample(frac=1, random_state=1).to_numpy()
        self.store.write_records("evaluate", frame, name="predictions")
        model = digest or folder_digest(self.store.path("baseline", "model"))
        self.metrics = {
            "choice": {"candidate": "baseline"},
            "models": {"baseline": model},
            "predictions": file_digest(self.store.path("evaluate", "predictions.parquet")),
        }
        self.store.write_metrics("evaluate", self.metrics, headline={})
        self.gate("evaluate", passed=True, metrics=file_digest(self.store.path("evaluate", "metrics.json")))

    def champion(self, *, right=0.8, best=0.8, **changes):
        """A champion as `release pin` leaves it."""
        folder = self.root / "data" / "champion"
        for part in ("model", "profile"):
            (folder / part).mkdir(exist_ok=True)
            (folder / part / "file").write_text(part)
        self.anchor.drop(columns="part").to_parquet(folder / "anchor.parquet", index=False)
        predicted(self.anchor, right=best, seed=5)[["id", "label"]].to_parquet(
            folder / "anchor_best.parquet", index=False
        )
        self.records.iloc[:800][["id"]].to_parquet(folder / "trained_ids.parquet", index=False)
        content = {
            "version": 3,
            "model_name": "perennial",
            "domain": "shop",
            "labels": list(LABELS),
            "decisions_used": 4,
            "anchor_best": {"version": 2, "macro_f1": best},
            "model_digest": folder_digest(folder / "model"),
            "profile_digest": folder_digest(folder / "profile"),
            "anchor_digest": file_digest(folder / "anchor.parquet"),
            "anchor_best_digest": file_digest(folder / "anchor_best.parquet"),
            "trained_ids_digest": file_digest(folder / "trained_ids.parquet"),
        }
        self.store.write_json(".", "champion.json", content | changes)
        self.right = right

    def run(self):
        promote.main(Project.open(self.root, environment={}))
        decision = json.loads((self.root / "data/promote/decision.json").read_text())
        verdict = json.loads((self.root / "data/promote/verdict.json").read_text())
        return decision, verdict


@pytest.fixture
def workspace(tmp_path, monkeypatch, repository):
    made = Workspace(tmp_path, repository)

    class Champion:
        labels = LABELS

        @classmethod
        def load(cls, folder, **_):
            return cls()

        def predict(self, rows, **_):
            return predicted(rows, right=getattr(made, "right", 0.8), seed=11)

    monkeypatch.setattr(promote, "Predictor", Champion)
    monkeypatch.setattr("pipelines.stages.promote.reference.Predictor", Champion, raising=False)
    return made


def test_a_backfill_is_evaluated_and_kept_although_no_champion_is_pinned(workspace):
    workspace.store.write_json(".", "champion.json", {"version": None, "not_compared": "a backfill"})
    decision, verdict = workspace.run()
    assert decision["action"] == "keep" and decision["reason"].startswith("Kept: a backfill.")
    assert verdict["passed"] and decision["comparisons"], "its evidence is complete"


def test_the_first_champion_is_released_with_its_profile(workspace):
    decision, verdict = workspace.run()
    assert (decision["action"], decision["champion"], decision["decisions_used"]) == ("release", None, 1)
    assert "first champion" in decision["reason"]
    assert verdict["passed"]
    profile = Profile.read(workspace.root / "data/promote/profile")
    assert profile.model_digest == decision["model_digest"]
    assert profile.rows.sum() == 1600
    assert profile.column("predicted_class").counts.sum() >= 1100


def test_a_feature_that_identifies_rows_is_named_and_not_watched(workspace, monkeypatch):
    from pipelines.stages.promote import reference

    kept = []
    build = reference.build_profile
    monkeypatch.setattr(
        reference,
        "build_profile",
        lambda frame, **more: build(frame, **(more | {"categories": [*more["categories"], "id"]})),
    )
    monkeypatch.setattr(promote.logger, "warning", lambda *words: kept.append(words[-1]))
    decision, _ = workspace.run()
    assert decision["not_watched_for_drift"] == "id" and kept == ["id"]


def test_a_better_candidate_replaces_the_champion_and_uses_are_counted(workspace):
    workspace.champion(right=0.75)
    decision, verdict = workspace.run()
    assert decision["action"] == "release"
    assert decision["champion"]["version"] == 3
    assert decision["decisions_used"] == decision["details"][0]["test_sets"]["anchor"]["decisions_used"] == 5
    assert [item["test_set"] for item in decision["comparisons"]] == ["recent", "anchor"]
    assert verdict["passed"]


def test_a_worse_candidate_is_kept_and_the_run_is_green(workspace):
    workspace.champion(right=0.88)
    workspace.candidate(right=0.86)
    decision, verdict = workspace.run()
    assert decision["action"] == "keep"
    assert verdict["passed"]


def test_permuted_labels_release_nothing(workspace):
    workspace.candidate(right=0.9, permuted=True)
    assert workspace.run()[0]["action"] != "release"
    workspace.champion(right=0.3)
    assert workspace.run()[0]["action"] != "release"


@pytest.mark.parametrize(
    ("changes", "closed_by"),
    [
        ({"domain": "complaints"}, {"champion_domain"}),
        ({"labels": ["refund", "delivery", "legal"]}, {"champion_labels"}),
    ],
)
def test_a_champion_of_another_domain_or_label_set_is_refused(workspace, changes, closed_by):
    workspace.champion(**changes)
    decision, verdict = workspace.run()
    assert decision["action"] == "refuse"
    assert {check["name"] for check in verdict["checks"] if check["outcome"] == "failed"} == closed_by
    assert not verdict["passed"]


def test_a_model_other_than_the_evaluated_one_is_refused(workspace):
    workspace.candidate(right=0.9, digest="f" * 64)
    decision, verdict = workspace.run()
    assert decision["action"] == "refuse"
    assert "run `dvc repro evaluate`" in decision["reason"]
    assert not verdict["passed"]


def better_metrics(workspace):
    workspace.store.write_metrics("evaluate", workspace.metrics | {"recent": {"macro_f1": 0.99}}, headline={})


def better_answers(workspace):
    table = workspace.store.read_records("evaluate", name="predictions")
    gold = workspace.records.set_index("id")["gold"]
    workspace.store.write_records("evaluate", table.assign(label=gold.loc[table["id"]].to_numpy()), name="predictions")


def verdict_of_another_run(workspace):
    verdict = workspace.store.path("evaluate", "verdict.json")
    stale = verdict.read_bytes()
    workspace.candidate(right=0.2)
    verdict.write_bytes(stale)


def answers_of_another_run(workspace):
    answers = workspace.store.path("evaluate", "predictions.parquet")
    stale = answers.read_bytes()
    workspace.candidate(right=0.2)
    answers.write_bytes(stale)


def without(*keys):
    def cut(workspace):
        metrics = {key: value for key, value in workspace.metrics.items() if key not in keys}
        workspace.store.write_metrics("evaluate", metrics, headline={})
        workspace.gate("evaluate", passed=True, metrics=file_digest(workspace.store.path("evaluate", "metrics.json")))

    return cut


@pytest.mark.parametrize(
    ("cheat", "message"),
    [
        (better_metrics, r"metrics.json: sha256 is .* edited, or of another run"),
        (better_answers, r"predictions.parquet: sha256 is .* edited, or of another run"),
        (verdict_of_another_run, r"metrics.json: sha256 is .* edited, or of another run"),
        (answers_of_another_run, r"predictions.parquet: sha256 is .* edited, or of another run"),
        (without("choice"), r"is not complete \(KeyError\('choice'\)\)"),
        (without("models"), r"is not complete \(KeyError\('models'\)\)"),
        (without("predictions"), r"is not complete \(KeyError\('predictions'\)\)"),
        (
            lambda workspace: workspace.gate("evaluate", passed=True),
            r"is not complete \(KeyError\('answers_written'\)\)",
        ),
        (lambda workspace: workspace.store.path("evaluate", "metrics.json").unlink(), r"metrics.json is missing"),
        (
            lambda workspace: workspace.store.path("evaluate", "predictions.parquet").unlink(),
            r"predictions.parquet: sha256 is missing",
        ),
    ],
)
def test_evidence_that_was_edited_or_is_not_of_one_run_is_refused(workspace, cheat, message):
    cheat(workspace)
    with pytest.raises(InputError, match=message):
        workspace.run()
    assert not (workspace.root / "data/promote/decision.json").exists()


@pytest.mark.parametrize("gold", [None, "refund"])
def test_an_empty_test_set_or_one_class_is_refused(workspace, gold):
    rows = workspace.records.copy()
    rows.loc[rows["part"] == "recent", "gold"] = gold
    workspace.store.write_records("split", rows)
    decision, verdict = workspace.run()
    assert decision["action"] == "refuse"
    failed = {check["name"] for check in verdict["checks"] if check["outcome"] == "failed"}
    assert "recent_classes" in failed
    assert not verdict["passed"]


def test_rows_of_the_champions_training_are_not_compared_on(workspace):
    workspace.champion(right=0.75)
    seen = workspace.records[["id"]].iloc[:1000]
    folder = workspace.root / "data/champion"
    seen.to_parquet(folder / "trained_ids.parquet", index=False)
    content = json.loads((workspace.root / "data/champion.json").read_text())
    content["trained_ids_digest"] = file_digest(folder / "trained_ids.parquet")
    workspace.store.write_json(".", "champion.json", content)
    assert workspace.run()[0]["comparisons"][0]["difference"]["rows"] == 600


def test_a_champion_whose_files_were_touched_stops_the_stage(workspace):
    workspace.champion()
    (workspace.root / "data/champion/model/file").write_text("other")
    with pytest.raises(InputError, match="data/champion/model was changed"):
        workspace.run()


@pytest.mark.parametrize("stage", ["label", "evaluate"])
def test_a_closed_gate_stops_the_stage(workspace, stage):
    workspace.gate(stage, passed=False)
    with pytest.raises(GateClosed, match=f"gate '{stage}' is closed"):
        workspace.run()


def test_the_same_inputs_give_the_same_bytes(workspace):
    workspace.champion()
    workspace.run()
    first = folder_digest(workspace.root / "data/promote")
    workspace.run()
    assert folder_digest(workspace.root / "data/promote") == first
