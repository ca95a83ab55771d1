"""The drift commands as a scheduler calls them, in a private state root."""

import fcntl
import json
from datetime import date, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from pipelines.__main__ import main
from pipelines.live.drift.ledger import Account
from pipelines.monitoring import predictions as log
from pipelines.profile.freeze import ProfileParams, build_profile
from pipelines.records.domain import Domain
from pipelines.runtime.project import Project
from tests.conftest import ROOT
from tests.factories.state import live_folder

pytestmark = pytest.mark.slow
START, RELEASED = date(2025, 1, 6), date(2025, 7, 28)  # 29 weeks
END = RELEASED + timedelta(weeks=4)
PARAMS = ProfileParams(bins=10, max_categories=20, max_words=0, min_texts=1, directions=0)
SCHEMA = Domain(ROOT / "pipelines" / "domains" / "complaints").schema
NOW = f"--now={END}T05:00:00+00:00"


def rows(first: date, last: date, *, seed: int, moved: bool = False) -> pd.DataFrame:
    """Rows of whatever features the domain has."""
    schema, rng, n = SCHEMA, np.random.default_rng(seed), (last - first).days * 60
    seconds = np.sort(rng.uniform(0, (last - first).days * 86_400, n))
    frame = pd.DataFrame({"received_at": pd.Timestamp(first, tz="UTC") + pd.to_timedelta(seconds, unit="s")})
    for feature in schema.features:
        if feature.kind == "category":
            frame[feature.name] = rng.choice(["A", "B", "<b>"], n, p=[0.1, 0.2, 0.7] if moved else [0.6, 0.3, 0.1])
        else:
            frame[feature.name] = rng.lognormal(3, 1, n)
    frame["label"], frame["confidence"] = rng.choice(schema.labels, n), rng.uniform(0.5, 1, n)
    if "text_length" not in frame:
        frame["text_length"] = rng.integers(50, 500, n)
    frame["record_id"] = [f"{first}-{seed}-{i}" for i in range(n)]
    return frame.assign(
        request_id=frame["record_id"],
        served_at=frame["received_at"],
        model_version=3,
        role="champion",
        schema_version=1,
    )


def add(frame: pd.DataFrame) -> None:
    log.add_predictions(live_folder(), log.as_predictions(frame, schema=SCHEMA))


@pytest.fixture(scope="module")
def profile_folder(tmp_path_factory):
    schema, frame = SCHEMA, rows(START, RELEASED, seed=0)
    folder = tmp_path_factory.mktemp("package") / "profile"
    build_profile(
        frame,
        start=START,
        end=RELEASED,
        domain=schema.name,
        model_digest="d" * 64,
        categories=[f.name for f in schema.features if f.kind == "category"],
        numbers=[*(f.name for f in schema.features if f.kind == "number")],
        labels=schema.labels,
        params=PARAMS,
        predictions=frame.assign(gold=frame["label"]),
    ).write(folder)
    (folder.parent / "manifest.json").write_text(json.dumps({"model_digest": "d" * 64}))
    return folder


def run(capsys, *words: str) -> tuple[int, dict, str]:
    code = main(["drift", *words])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


def measure(capsys, folder, *more: str, end: date = END):
    words = [f"--start={end - timedelta(days=7)}", f"--end={end}", "--model-version=3", f"--profile={folder}"]
    return run(capsys, "measure", *words, "--no-evidently", *(more or (NOW,)))


def test_a_drift_is_measured_decided_confirmed_and_shown(profile_folder, capsys):
    add(rows(RELEASED, END - timedelta(weeks=2), seed=1))
    add(rows(END - timedelta(weeks=2), END, seed=2, moved=True))
    code, found, _ = measure(capsys, profile_folder)
    assert code == 0 and found["outcome"] == "breach" and found["upstream_broken"] == []
    first = (live_folder() / "drift" / found["key"] / "verdict.json").read_bytes()
    page = (live_folder() / "drift" / found["key"] / "drift.html").read_text()
    assert "Drift confirmed" in page and "Not decided yet" in page and "<b>" not in page.replace("&lt;b&gt;", "")
    measure(capsys, profile_folder)
    assert (live_folder() / "drift" / found["key"] / "verdict.json").read_bytes() == first
    code, decision, _ = run(capsys, "decide", f"--verdict={found['key']}", NOW)
    assert code == 0 and decision["action"] == "retrain" and "@" in decision["owner"]
    assert decision["reason"][:20] in (live_folder() / "drift" / found["key"] / "drift.html").read_text()
    code, _, _ = run(capsys, "confirm", f"--key={decision['key']}", "--run-id=drift__x", NOW)
    assert code == 0 and run(capsys, "decide", NOW)[1]["action"] == "nothing"
    assert len(Account.read(live_folder()).runs) == 1 and len(Account.read(live_folder()).budget) == 1
    (waits,) = run(capsys, "runs")[1]["open"]
    assert (waits["key"], waits["run_id"]) == (decision["key"], "drift__x")
    ended = ["--outcome=failed", "--run-id=drift__x", "--minutes=2", "--why=no disk"]
    assert run(capsys, "settle", f"--key={decision['key']}", *ended, NOW)[1]["outcome"] == "failed"
    assert run(capsys, "runs")[1]["open"] == []
    again = run(capsys, "decide", NOW)[1]
    assert again["action"] == "retrain" and again["key"] != decision["key"], "a run that failed answers nothing"
    HTMLParser().feed(page)


def test_a_feed_that_has_not_begun_is_nothing_to_alert(profile_folder, capsys):
    code, found, _ = measure(capsys, profile_folder)
    assert code == 0 and found["outcome"] == "undecided" and found["upstream_broken"] == []
    _, decision, _ = run(capsys, "decide", NOW)
    assert decision["action"] == "nothing" and not decision["alert"] and not decision["page"]
    assert decision["reason"].startswith(f"no predictions yet: nothing was scored before {END}")


def test_a_feed_that_stopped_is_an_alert_and_no_trigger(profile_folder, capsys):
    add(rows(RELEASED - timedelta(weeks=12), RELEASED - timedelta(weeks=11), seed=1))
    code, found, _ = measure(capsys, profile_folder)
    assert code == 0 and found["outcome"] == "undecided" and "stale" in found["upstream_broken"]
    _, decision, _ = run(capsys, "decide", NOW)
    assert decision["action"] == "alert" and not decision["retrain"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--start=2025-08-25", "--end=2025-08-25"], "is empty: expected start before end"),
        (["--start=2025-08-19", "--end=2025-08-26"], "it is not over yet"),
        (["--start=2025-07-28", "--end=2025-08-25"], "has 28 days"),
    ],
)
def test_invalid_windows_are_refused(profile_folder, capsys, words, message):
    code, _, err = run(capsys, "measure", *words, "--model-version=3", f"--profile={profile_folder}", NOW)
    assert code == 66 and message in err and not (live_folder() / "drift").exists()


def test_the_profile_of_another_model_is_refused(profile_folder, capsys):
    manifest = profile_folder.parent / "manifest.json"
    manifest.write_text(json.dumps({"model_digest": "e" * 64}))
    try:
        code, _, err = measure(capsys, profile_folder)
    finally:
        manifest.write_text(json.dumps({"model_digest": "d" * 64}))
    assert code == 66 and all(name in err for name in ("d" * 12, "e" * 12))


def test_a_broken_prediction_file_names_itself_and_triggers_nothing(profile_folder, capsys):
    add(rows(END - timedelta(weeks=2), END, seed=2))
    broken = log.day_folder(log.predictions_folder(live_folder()), END - timedelta(days=2)) / "part.parquet"
    broken.write_bytes(b"not parquet")
    code, _, err = measure(capsys, profile_folder)
    assert code == 66 and str(broken) in err and broken.read_bytes() == b"not parquet"
    assert run(capsys, "decide", NOW)[0] == 66 and not (live_folder() / "decisions.jsonl").exists()


def test_labels_of_unknown_records_are_left_out(profile_folder, capsys):
    frame = rows(RELEASED, END, seed=1)
    add(frame)
    at = pd.Timestamp(END, tz="UTC") - pd.Timedelta(days=1)
    wrong = np.random.default_rng(0).permutation(frame["label"])
    labels = pd.DataFrame({"record_id": frame["record_id"], "label": wrong, "labeled_at": at})
    log.add_labels(live_folder(), pd.concat([labels, labels.head(5).assign(record_id=[f"ghost{i}" for i in range(5)])]))
    code, found, err = measure(capsys, profile_folder)
    assert code == 0 and "5 of" in err and found["outcome"] == "breach"
    _, decision, _ = run(capsys, "decide", NOW)
    assert decision["columns"] == ["labels"] and decision["retrain"]


def test_a_second_run_waits_and_then_names_the_lock(profile_folder, capsys, monkeypatch):
    from pipelines.live.drift.params import DriftParams

    quick = Project.open().section("drift", DriftParams).model_copy(update={"lock_seconds": 0.3})
    monkeypatch.setattr(Project, "section", lambda *_: quick)
    (live_folder() / "drift").mkdir(parents=True)
    with (live_folder() / "drift" / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, err = measure(capsys, profile_folder)
    assert code == 74 and "another drift run" in err
    assert measure(capsys, profile_folder)[0] == 0


def test_an_edited_verdict_is_refused(profile_folder, capsys):
    _, found, _ = measure(capsys, profile_folder)
    file = live_folder() / "drift" / found["key"] / "verdict.json"
    file.write_text(file.read_text().replace('"undecided"', '"breach"', 1))
    code, _, err = run(capsys, "decide", NOW)
    assert code == 66 and "it was edited" in err


def test_minutes_are_approved_and_settled(capsys):
    assert run(capsys, "approve", "--minutes=30", "--who=boss", NOW)[0] == 0
    code, _, err = run(capsys, "approve", "--minutes=-1", "--who=boss", NOW)
    assert code == 66 and "more than 0" in err
    assert run(capsys, "settle", "--key=x", "--minutes=1", NOW)[0] == 66


def test_a_run_that_ends_before_its_trigger_was_confirmed_is_recorded(profile_folder, capsys):
    add(rows(RELEASED, END - timedelta(weeks=2), seed=1))
    add(rows(END - timedelta(weeks=2), END, seed=2, moved=True))
    measure(capsys, profile_folder)
    key = run(capsys, "decide", NOW)[1]["key"]
    ended = ["--outcome=kept", f"--run-id=drift__{key}", "--minutes=2"]
    assert run(capsys, "settle", f"--key={key}", *ended, NOW)[1]["outcome"] == "kept"
    assert [line["run_id"] for line in Account.read(live_folder()).runs] == [f"drift__{key}"]
    assert run(capsys, "settle", f"--key={key}", NOW)[0] == 64
    assert run(capsys, "settle", f"--key={key}", "--outcome=kept", NOW)[0] == 64


def test_the_feedback_audit(tmp_path, capsys):
    frame = rows(RELEASED, RELEASED + timedelta(days=2), seed=1)
    add(frame)
    log.add_labels(
        live_folder(),
        frame.assign(labeled_at=frame["received_at"] + pd.Timedelta(days=1))[["record_id", "label", "labeled_at"]],
    )
    training = frame.rename(columns={"record_id": "id"})[["id", "label"]]
    training.to_parquet(tmp_path / "own.parquet")
    window = [f"--start={RELEASED}", f"--end={END}"]
    code, _, err = run(capsys, "audit", f"--training={tmp_path / 'own.parquet'}", *window)
    assert code == 65 and "feedback loop" in err
    training.assign(id=[f"n{i}" for i in range(len(training))]).to_parquet(tmp_path / "fresh.parquet")
    code, found, _ = run(capsys, "audit", f"--training={tmp_path / 'fresh.parquet'}", *window)
    assert code == 0 and found["share"] == 0


def test_evidently_shows_our_psi(profile_folder, capsys):
    add(rows(RELEASED, END - timedelta(weeks=2), seed=1))
    add(rows(END - timedelta(weeks=2), END, seed=2, moved=True))
    words = [f"--start={END - timedelta(days=7)}", f"--end={END}", "--model-version=3", f"--profile={profile_folder}"]
    code, found, err = run(capsys, "measure", *words, NOW)
    assert code == 0 and "could not be made" not in err, err
    page = (live_folder() / "drift" / found["key"] / "evidently.html").read_text()
    assert "PSI on bins frozen with the model" in page


def test_the_verdict_measured_last_is_decided_on(profile_folder, capsys):
    add(rows(RELEASED, END, seed=2))
    later, earlier = measure(capsys, profile_folder)[1]["key"], END - timedelta(days=7)
    measured = measure(capsys, profile_folder, end=earlier)[1]["key"]
    assert measured < later
    code, _, err = run(capsys, "decide", NOW)
    assert code == 0
    assert measured in err
    assert later not in err
