"""Make a repository with a champion and live weeks: `python tests/dags/watched/world.py FOLDER make|succeed|storm`.

`make` writes this repository into FOLDER with a `retrain` in place of the real one, a small champion (words and a
linear model, trained on the simulated stream) and its predictions in live weeks with five injected faults, each with
quiet weeks before it. `succeed` makes version 2 champion, and gives it weeks of its own. `storm` writes one verdict per
day in which each of `COLUMNS` columns is in breach. Runs in the pipeline's environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

HERE = Path(__file__).parent
TRAINED, LIVE = date(2025, 1, 6), date(2025, 7, 7)  # half a year, the fewest weeks that make a verdict a rank test
ROWS_PER_DAY = 40
STALE, NULLS, UNITS = date(2025, 7, 21), date(2025, 8, 11), date(2025, 9, 1)  # the week that each fault affects
MOVED, NEXT = date(2025, 9, 22), date(2025, 10, 6)  # two weeks of drifted inputs; from then on the second champion
MISLABELED, OVER = date(2025, 10, 20), date(2025, 12, 8)
COLUMNS, DAYS = 25, 8  # of the storm: 200 breaches
FAULTS = [
    {"kind": "stale_day", "from": STALE + timedelta(days=4), "to": STALE + timedelta(days=7)},
    {"kind": "null_column", "column": "State", "from": NULLS, "to": NULLS + timedelta(days=7)},
    {"kind": "unit_change", "factor": 100.0, "from": UNITS, "to": UNITS + timedelta(days=7)},
    {"kind": "covariate", "factor": 0.8, "from": MOVED, "to": NEXT},
    {"kind": "concept", "factor": 0.7, "from": MISLABELED, "to": OVER},
]


def make(folder: Path, *, cooldown_days: float) -> None:
    """Make the checkout, its registry with version 1, and its predictions until the second champion."""
    from tests.dags.small_checkout import main as write_checkout

    write_checkout(folder)
    root = folder / "checkout"
    shutil.copyfile(HERE / "retrain.py", root / "dags" / "retrain.py")
    shutil.copyfile(HERE / "storm.py", root / "dags" / "storm.py")
    _commit(root, cooldown_days=cooldown_days, max_minutes_per_month=120)
    enter(folder)
    records = _stream(TRAINED, NEXT)
    champion = Champion(1, records, start=TRAINED, end=LIVE)
    champion.register()
    champion.answer(records[records["received_at"] >= _utc(LIVE)])


def succeed(folder: Path) -> None:
    """Make version 2 champion from NEXT on, with predictions and all labels of the weeks after it."""
    from pipelines.monitoring import predictions as log

    enter(folder)
    records = _stream(TRAINED, OVER)
    champion = Champion(2, records, start=TRAINED + (NEXT - LIVE), end=NEXT)
    champion.register()
    live = records[records["received_at"] >= _utc(NEXT)]
    champion.answer(live)
    labels = live[["id", "gold", "gold_at"]].set_axis(["record_id", "label", "labeled_at"], axis=1)
    log.add_labels(_live(), labels[labels["labeled_at"] < _utc(OVER)])


def storm(folder: Path) -> None:
    """One verdict of the breach per day, each with COLUMNS drifted columns, in a folder that drift_watch does not
    read.
    """
    from pipelines.live.drift.live import count_live
    from pipelines.live.drift.measure import Week, find_reference
    from pipelines.live.drift.params import DriftParams
    from pipelines.live.drift.verdict import make_verdict
    from pipelines.monitoring import predictions as log
    from pipelines.profile.profile import Profile
    from pipelines.runtime.project import Project

    root = enter(folder)
    project = Project.open(root)
    reference = find_reference(project, Week(NEXT - timedelta(days=7), NEXT, now=_utc(NEXT), version=1))
    profile, params = Profile.read(reference.profile_folder), project.section("drift", DriftParams)
    n_days = 7 * params.alarm.trend_weeks
    rows = log.read_predictions(_live(), start=NEXT - timedelta(days=n_days), end=NEXT)
    live = count_live(rows, profile=profile, model_version=1, end=NEXT, n_days=n_days, texts=None)
    unknown = ("accuracy", "accuracy_change", "accuracy_interval", "log_loss", "log_loss_change")
    nothing = {"rows": 0, "release_rows": 0, "outcome": "undecided", **dict.fromkeys(unknown)}
    verdict = make_verdict(
        profile, live, model_version=1, start=NEXT - timedelta(days=7), params=params,
        scored=log.days_scored(_live(), before=NEXT),
        concept={"labels": 0, "unknown_labels": 0, "previous_version": None, "against_release": nothing,
                 "against_previous": nothing},
    )  # fmt: skip
    assert verdict["outcome"] == "breach", verdict["outcome"]
    moved = next(verdict["columns"][name] for name in verdict["breaches"])
    names = [f"column_{number:02d}" for number in range(COLUMNS)]
    for day in range(DAYS):
        end = NEXT + timedelta(days=day)
        body = verdict | {
            "key": f"{end}-v1",
            "window": {"start": (end - timedelta(days=7)).isoformat(), "end": end.isoformat()},
            "columns": dict.fromkeys(names, moved),
            "breaches": names,
            "alerts": names,
        }
        _write_verdict(folder / "verdicts" / body["key"] / "verdict.json", body)


def _live() -> Path:
    """Live folder of the checkout's registered model."""
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.project import Project

    return live_folder(Project.open())


def _domain() -> Any:
    """The checkout's domain."""
    from pipelines.records.domain import Domain
    from pipelines.runtime.project import Project

    return Domain(Project.open().domain_folder)


def _write_verdict(file: Path, body: dict[str, Any]) -> None:
    body = {name: value for name, value in body.items() if name != "digest"}
    body["digest"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(body))


class Champion:
    """A model of words, registered without its weights, since no test serves it."""

    def __init__(self, version: int, records: Any, *, start: date, end: date) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        self.version, self.start, self.end = version, start, end
        self.digest = hashlib.sha256(f"champion {version}".encode()).hexdigest()
        self.reference = records[(records["received_at"] >= _utc(start)) & (records["received_at"] < _utc(end))]
        self.trained = self.reference.iloc[::2]
        self.model = make_pipeline(TfidfVectorizer(min_df=2), LogisticRegression(C=20.0, max_iter=300))
        self.model.fit(self.trained["text"], self.trained["gold"])

    def predicted(self, records: Any) -> Any:
        """The records with its label and confidence."""
        shares = self.model.predict_proba(records["text"])
        return records.assign(label=self.model.classes_[shares.argmax(axis=1)], confidence=shares.max(axis=1))

    def answer(self, records: Any) -> None:
        """Write its predictions as scoring does."""
        from pipelines.monitoring import predictions as log

        rows = self.predicted(records).rename(columns={"id": "record_id"})
        rows = rows.assign(
            request_id=rows["record_id"], served_at=rows["received_at"], model_version=self.version, role="champion",
            schema_version=1, text_length=rows["text"].str.len(),
        )  # fmt: skip
        log.add_predictions(_live(), log.as_predictions(rows, schema=_domain().schema))

    def register(self) -> None:
        """Register it with the profile that `promote` would freeze, and make it champion."""
        from pipelines.live.release import moves
        from pipelines.live.release.package import file_digests
        from pipelines.live.release.registry import CHAMPION, Registry
        from pipelines.profile.freeze import build_profile
        from pipelines.runtime.project import Project
        from pipelines.runtime.store import to_json
        from pipelines.stages.promote.params import PromoteParams

        project = Project.open()
        schema, registry = _domain().schema, Registry.open(project)
        model = Path.cwd() / "made" / str(self.version)
        package = model / "artifacts" / "package"
        freeze = project.section("promote", PromoteParams).profile
        build_profile(
            self.reference,
            start=self.start,
            end=self.end,
            domain=schema.name,
            model_digest=self.digest,
            categories=[item.name for item in schema.features if item.kind == "category"],
            numbers=[item.name for item in schema.features if item.kind == "number"],
            labels=schema.labels,
            params=freeze.model_copy(update={"directions": 0}),
            predictions=self.predicted(self.reference.drop(self.trained.index)),
        ).write(package / "profile")
        (model / "MLmodel").write_text("flavors: {}\n")
        manifest = {"git_commit": None, "dvc_lock": None, "model_digest": self.digest, "files": file_digests(package)}
        (package / "manifest.json").write_bytes(to_json(manifest))
        number = registry.register(model, candidate_digest=self.digest, tags={})
        assert number == self.version
        moves.move_champion(
            registry, old=registry.alias(CHAMPION), new=number, action="release", reason="trained for a test"
        )
        shutil.rmtree(model)


def _stream(start: date, end: date) -> Any:
    """Records of the simulated stream with the five faults in it."""
    import pandas as pd

    from pipelines.runtime.project import Project

    domain = _domain()
    given = Project.open().parameters.section("simulator") | {"rows_per_day": ROWS_PER_DAY, "faults": FAULTS}
    raw = pd.concat(domain.simulate(start=start, end=end, seed=11, **given), ignore_index=True)
    records = domain.to_records(domain.normalize(raw.astype(object).where(raw.notna(), None)))
    return records[records["text"] != ""].drop_duplicates("id").reset_index(drop=True)


def _utc(day: date) -> Any:
    import pandas as pd

    return pd.Timestamp(day, tz="UTC")


def enter(folder: Path) -> Path:
    """Work in the checkout with its state root, as its commands do."""
    os.environ["PERENNIAL_HOME"] = str(folder / "home")
    os.chdir(folder / "checkout")
    return folder / "checkout"


def _commit(root: Path, *, cooldown_days: float, max_minutes_per_month: float) -> None:
    """Commit the checkout with these limits of retraining."""
    import subprocess

    from pipelines.runtime.overrides import edit_file

    limits = {"cooldown_days": cooldown_days, "max_minutes_per_month": max_minutes_per_month}
    edit_file(root / "params.yaml", {"drift": {"decision": limits}})
    for words in (["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message", f"limits: {limits}"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)


def main() -> None:
    """Carry out one step."""
    folder, step, *more = Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]
    if step == "make":
        make(folder, cooldown_days=float(more[0]))
    elif step == "limits":
        _commit(folder / "checkout", cooldown_days=float(more[0]), max_minutes_per_month=float(more[1]))
    else:
        {"succeed": succeed, "storm": storm}[step](folder)


if __name__ == "__main__":
    main()
