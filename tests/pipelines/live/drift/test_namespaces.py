"""A feature may have any name and change its type: nothing collides, and drift compares what is comparable."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from pipelines.live.drift.live import count_live
from pipelines.live.drift.verdict import make_verdict
from pipelines.live.score.partitions import as_rows
from pipelines.monitoring.predictions import FIXED, add_predictions, as_predictions, read_predictions
from pipelines.profile.freeze import ProfileParams, build_profile
from pipelines.profile.profile import OWN, Profile
from pipelines.records.schema import DomainSchema, Feature
from tests.factories import drift_toy as toy

FREEZE = ProfileParams(bins=10, max_categories=20, max_words=50, min_texts=1, directions=0)
TAKEN = {"received_at"}  # refused when the domain is loaded, as the other columns of a record are
NAMES = sorted({*FIXED, *OWN, "embedding_1", "feature.role", "category.role", "day", "a b", "größe"} - TAKEN)
END = toy.END + timedelta(weeks=3)


def schema_of(*features: Feature) -> DomainSchema:
    return DomainSchema(
        name="toy", labels=toy.LABELS, features=features, protected=(), no_protected_because="made up",
        favorable_labels=(), strata=(), gold_delay_days=1, required_columns=(), requires_text=True,
    )  # fmt: skip


def records(first: date, last: date, *, features: tuple[Feature, ...], seed: int) -> pd.DataFrame:
    """Return records whose features never change."""
    frame = toy.rows(first, last, per_day=30, seed=seed)
    random = np.random.default_rng(seed)
    content = {"id": frame["record_id"], "received_at": frame["received_at"]}
    content["text"] = random.choice(["money back please", "repair it please"], len(frame))
    for feature in features:
        kind = feature.kind == "category"
        drawn = random.choice(["b", "s"], len(frame), p=[0.75, 0.25]) if kind else random.beta(8, 2, len(frame))
        content[feature.name] = pd.array(drawn, dtype="string" if kind else "float64")
    return pd.DataFrame(content)


def log(live, first: date, last: date, *, schema: DomainSchema, version: int = toy.VERSION) -> None:
    frame = records(first, last, features=schema.features, seed=2)
    answers = pd.DataFrame({"id": frame["id"], "label": "card", "confidence": 0.9})
    served = datetime(2026, 1, 1, tzinfo=UTC)
    rows = as_rows(frame, answers, model_version=version, served_at=served, features=schema.features)
    add_predictions(live, as_predictions(rows, schema=schema))


def profile_of(schema: DomainSchema) -> Profile:
    frame = records(toy.START, toy.END, features=schema.features, seed=1)
    return build_profile(
        frame,
        start=toy.START,
        end=toy.END,
        domain="toy",
        model_digest=toy.DIGEST,
        categories=[item.name for item in schema.features if item.kind == "category"],
        numbers=[item.name for item in schema.features if item.kind == "number"],
        labels=toy.LABELS,
        params=FREEZE,
        predictions=frame.iloc[::3].assign(label="card", confidence=0.9)[["received_at", "label", "confidence"]],
    )


def evaluate(profile: Profile, live, *, version: int = toy.VERSION):
    rows = read_predictions(live, start=toy.END, end=END)
    counted = count_live(rows, profile=profile, model_version=version, end=END, n_days=21, texts=None)
    start, scored = END - timedelta(days=7), (toy.END, END - timedelta(days=1))
    verdict = make_verdict(
        profile, counted, model_version=version, start=start, params=toy.PARAMS, concept=toy.NO_LABELS, scored=scored
    )
    return verdict, [check["name"] for check in verdict["upstream"]["checks"] if check["outcome"] == "failed"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["category", "number"])
def test_weeks_in_which_nothing_changed_are_steady_whatever_the_features_are_named(tmp_path, kind):
    schema = schema_of(*(Feature(name, kind=kind) for name in NAMES))
    profile = profile_of(schema)
    assert len({column.name for column in profile.columns}) == len(profile.columns)
    assert [column.feature for column in profile.columns if column.feature is not None] == NAMES
    profile.write(tmp_path / "profile")
    log(tmp_path, toy.END, END, schema=schema)
    verdict, failed = evaluate(Profile.read(tmp_path / "profile"), tmp_path)
    assert failed == [] and verdict["outcome"] == "steady" and verdict["breaches"] == []
    own = [facts for name, facts in verdict["columns"].items() if facts["source"] == "input"]
    assert len(own) == len(NAMES) + 1 and all(facts["unseen_share"] == 0 for facts in own)


@pytest.fixture(scope="module")
def changed():
    """A domain before and after a change: one feature stays, one is retyped, one is added."""
    before = schema_of(Feature("stays", kind="number"), Feature("retyped", kind="number"))
    after = replace(
        before, features=(before.features[0], Feature("retyped", kind="category"), Feature("new", kind="number"))
    )
    return before, after, profile_of(after)


def test_rows_of_an_earlier_version_of_the_domain_are_not_a_drift(tmp_path, changed):
    before, _, profile = changed
    log(tmp_path, toy.END, END, schema=before, version=toy.VERSION - 1)
    verdict, failed = evaluate(profile, tmp_path)
    columns = verdict["columns"]
    assert verdict["outcome"] == "steady" and failed == []
    assert columns["stays"]["outcome"] == "steady"
    for name in ("retyped", "new"):
        assert columns[name]["outcome"] == "undecided" and columns[name]["why"].startswith("not comparable")


def test_a_change_within_the_week_compares_the_rows_that_have_the_column(tmp_path, changed):
    before, after, profile = changed
    middle = END - timedelta(days=4)
    log(tmp_path, toy.END, middle, schema=before, version=toy.VERSION - 1)
    log(tmp_path, middle, END, schema=after)
    verdict, failed = evaluate(profile, tmp_path)
    assert verdict["breaches"] == [] and "missing_values" not in failed and "columns_gone" not in failed
    facts = verdict["columns"]["new"]
    assert (facts["rows"], facts["rows_without_it"], facts["missing_share"]) == (120, 90, 0)
    assert json.loads(json.dumps(verdict)) == verdict


def test_a_column_that_the_model_itself_no_longer_gets_is_gone(tmp_path, changed):
    before, _, profile = changed
    log(tmp_path, toy.END, END, schema=replace(before, features=before.features[:1]))
    assert evaluate(profile, tmp_path)[1] == ["columns_gone"]
