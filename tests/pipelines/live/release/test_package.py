"""The package of a version: of exactly the model that was decided on, complete, and checked when it is pinned."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.gates.override import record_override
from pipelines.gates.verdict import Check, Verdict
from pipelines.live.release import package, pin
from pipelines.live.release.digests import check_manifest, files_digest
from pipelines.live.release.package import build_package
from pipelines.runtime.champion import read_champion, why_not_compared
from pipelines.runtime.errors import InputError
from pipelines.runtime.store import Store, folder_digest
from tests.factories.projects import make_project

LABELS = ("a", "b")


class Schema:
    """The two things a package asks of a schema."""

    name, labels = "toy", LABELS


@pytest.fixture
def decided(tmp_path, monkeypatch):
    """A checkout after promote, with files of a few bytes; returns its decision."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package, "_add_encoder", lambda model, **_: None)
    for name, text in {
        "params.yaml": "domain: d\n",
        "d/params.yaml": "{}\n",
        "data/champion.json": '{"version": null}',
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    store = Store(tmp_path / "data")
    store.write_text("baseline", "model/predictor.json", "{}")
    store.write_text("promote", "profile/profile.json", "{}")
    store.write_text("label", "verdict.json", "{}")
    parts = ["train", "validation", "recent", "anchor", "anchor"]
    split = pd.DataFrame({"id": list("12345"), "text": "x", "gold": list("ababa"), "part": parts})
    store.write_records("split", split)
    answers = pd.DataFrame({"id": list("345"), "part": parts[2:], "candidate": "baseline", "label": list("aba")})
    store.write_records("evaluate", answers, name="predictions")
    digest = folder_digest(Path("data/baseline/model"))
    return {"candidate": "baseline", "model_digest": digest, "decisions_used": 3}


def built(decided):
    target = Path("package")
    target.mkdir()
    return target, build_package(target, make_project(Path.cwd()), decision=decided, schema=Schema)


def test_it_holds_what_later_runs_compare_with(decided):
    target, manifest = built(decided)
    assert check_manifest(target, what="it") == manifest
    assert pd.read_parquet(target / "anchor.parquet")["id"].tolist() == ["4", "5"]
    assert pd.read_parquet(target / "trained_ids.parquet")["id"].tolist() == ["1", "2"]
    assert json.loads((target / "anchor_best.json").read_text()) == {"version": None, "macro_f1": 1.0}
    assert {"evidence/params.yaml", "evidence/domain_params.yaml", "evidence/label.verdict.json"} <= set(
        manifest["files"]
    )
    assert manifest["labels"] == list(LABELS)


def test_another_model_than_the_decided_one_is_refused(decided):
    Path("data/baseline/model/predictor.json").write_text('{"kind": "other"}')
    with pytest.raises(
        InputError, match=r"data/baseline/model has digest \w+, the decision was made on \w+; run `dvc repro`"
    ):
        built(decided)


def test_a_missing_model_is_reported(decided):
    with pytest.raises(InputError, match="data/finetune/model is missing; run `dvc checkout` or `dvc repro`"):
        built({**decided, "candidate": "finetune"})


def test_what_mlflow_and_python_leave_in_use_changes_no_digest(decided):
    target, _ = built(decided)
    before = files_digest(target)
    (target / "__pycache__").mkdir()
    (target / "__pycache__" / "x.pyc").write_bytes(b"0")
    (target / "registered_model_meta").write_text("{}")
    assert files_digest(target) == before
    (target / "x.py").write_text("")
    assert files_digest(target) != before


class OneVersion:
    """A registry whose champion is the package in the working directory."""

    model_name = "toy"
    client = property(lambda self: self)
    tags = {"candidate_digest": "d" * 64}

    def alias(self, name):
        return 1 if Path("package/manifest.json").exists() else None

    def package(self, version):
        return Path("package")

    def get_model_version(self, name, version):
        return self


def test_without_a_champion_nothing_is_pinned(decided):
    assert pin.pin(OneVersion(), root=Path.cwd(), decisions_used=0) is None
    assert read_champion(Store(Path.cwd() / "data")) is None
    assert Path("data/champion/NONE").exists()


def test_a_backfill_pins_no_champion_and_states_why(decided):
    built(decided)
    assert pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4, backfill=True) is None
    store = Store(Path.cwd() / "data")
    assert read_champion(store) is None and why_not_compared(store) == pin.BACKFILL
    pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4)
    assert why_not_compared(store) is None


def test_what_is_pinned_is_read_back(decided):
    built(decided)
    assert pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4) == 1
    champion = read_champion(Store(Path.cwd() / "data"))
    assert (champion.version, champion.domain, champion.labels, champion.decisions_used) == (1, "toy", LABELS, 4)
    assert champion.trained_ids() == {"1", "2"}
    assert champion.anchor_best == {"version": 1, "macro_f1": 1.0}
    stamps = {file: file.stat().st_mtime_ns for file in Path("data/champion").rglob("*")}
    pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4)
    assert {file: file.stat().st_mtime_ns for file in Path("data/champion").rglob("*")} == stamps


@pytest.mark.parametrize("part", ["model/predictor.json", "profile/profile.json"])
def test_a_touched_pin_is_refused_until_it_is_pinned_again(decided, part):
    built(decided)
    pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4)
    (Path("data/champion") / part).write_text("[]")
    with pytest.raises(InputError, match="was changed: its digest is"):
        read_champion(Store(Path.cwd() / "data"))
    pin.pin(OneVersion(), root=Path.cwd(), decisions_used=4)
    assert read_champion(Store(Path.cwd() / "data")).version == 1


def test_only_the_override_of_its_own_verdict_travels_with_a_version(decided):
    store = Store(Path.cwd() / "data")
    for stage in ("label", "bias_gate"):
        check = Check.at_most("harm", 0.4, limit=0.1, rows=500, min_rows=1, required=True, sentence="40 % of them")
        store.write_verdict(Verdict.of(stage, [check]))
        record_override(store, stage=stage, who="Dana", when="2026-01-02", why="reviewed by the board")
    repaired = Check.at_most("harm", 0.05, limit=0.1, rows=500, min_rows=1, required=True, sentence="5 % of them")
    store.write_verdict(Verdict.of("label", [repaired]))
    target, _ = built(decided)
    assert [file.name.split("-")[0] for file in (target / "evidence").glob("override.*")] == ["override.bias_gate"]
