"""Real 8-bit forms of the base model before the parity gate: a sound one is measured, a badly scaled one refused."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from pipelines.live.score import quantize
from pipelines.live.score.export import export_version, passed_export
from pipelines.live.score.params import ScoreParams
from pipelines.models.base_model import find_base_model
from pipelines.models.encoder import Encoder
from pipelines.models.linear import LinearModel, Vocabulary, unit_length
from pipelines.models.manifest import BOOSTING_FILE, SCHEMA_VERSION, Manifest
from pipelines.models.predictor import Predictor
from pipelines.records.domain import Domain
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.stages.baseline.params import BaselineParams

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.long, pytest.mark.timeout(1800)]
FITTED, COMPARED = 500, 520


@pytest.fixture(scope="module")
def package(tmp_path_factory, repository):
    """A version's package: the base model with a head fitted to simulated complaints, and gold rows to compare on."""
    import torch
    from sklearn.linear_model import LogisticRegression

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("package")
    domain = Domain(repository / "pipelines" / "domains" / "complaints")
    project = Project.open(repository, environment={})
    parameters = {**project.parameters.section("simulator"), "rows_per_day": 40}
    raw = pd.concat(
        domain.simulate(start=date(2025, 1, 6), end=date(2025, 3, 3), seed=3, **parameters), ignore_index=True
    )
    records = domain.to_records(domain.normalize(raw.assign(_file="simulated", _row=np.arange(len(raw)))))
    records = records[records["gold"].notna() & records["text"].ne("")].drop_duplicates("id")
    assert len(records) >= FITTED + COMPARED
    shortest = records.loc[records["text"].str.len().sort_values(kind="stable").index[: FITTED + COMPARED]]
    records = shortest.sample(frac=1.0, random_state=1, ignore_index=True)
    spec = project.section("baseline", BaselineParams).base_model
    try:
        find_base_model(spec)
    except InputError as error:
        pytest.skip(f"base model: {error}")
    fit_rows = records.head(FITTED)
    vectors = unit_length(Encoder.load(spec).embed(fit_rows["text"].tolist()))
    fitted = LogisticRegression(C=30.0, max_iter=2000).fit(vectors, fit_rows["gold"].astype(str))
    labels = domain.schema.labels
    weights, bias = np.zeros((vectors.shape[1], len(labels))), np.full(len(labels), -20.0)
    for place, label in enumerate(fitted.classes_):
        weights[:, labels.index(label)], bias[labels.index(label)] = fitted.coef_[place], fitted.intercept_[place]
    vocabulary = Vocabulary.fit(["nothing", "counts"], ngrams=1, min_records=1, max_terms=9, max_characters=100)
    (folder / "model").mkdir()
    none = np.zeros((len(vocabulary.terms), len(labels)))  # the encoder alone decides
    LinearModel(vocabulary, none, weights, bias).save(folder / "model")
    (folder / "model" / BOOSTING_FILE).write_text("", encoding="utf-8")
    Manifest(
        schema_version=SCHEMA_VERSION,
        kind="baseline",
        labels=labels,
        features=(),
        encoder=spec,
        temperature=1.0,
        settings={},
        files={},
    ).write(folder / "model")
    records.tail(COMPARED).to_parquet(folder / "anchor.parquet")
    return folder


@pytest.fixture
def export(package, tmp_path, repository):
    """`python -m pipelines score-export [--int8]` for that version, in a checkout without data of its own."""
    (tmp_path / "checkout").mkdir()
    for name in ("params.yaml", "pipelines"):
        (tmp_path / "checkout" / name).symlink_to(repository / name)
    project = Project.open(tmp_path / "checkout", environment={"PERENNIAL_HOME": str(tmp_path / "home")})

    def run(*, int8):
        result = export_version(project, version=1, package=package, int8=int8)
        return result["passed"], {check["name"]: check for check in result["checks"]}

    return run


def one_scale(weights):
    """Bytes that share one scale, as a quantization without calibration leaves them: small weights become 0."""
    scale = np.float32(4.0 / quantize.LARGEST)
    values = np.clip(np.round(weights / scale), -quantize.LARGEST, quantize.LARGEST).astype(np.int8)
    return values, np.full_like(weights.max(axis=1, keepdims=True), scale)


def test_the_gate_opens_for_the_plain_form_measures_the_int8_form_and_refuses_a_bad_one(
    export, package, tmp_path, repository, monkeypatch
):
    exports = tmp_path / "home" / "exports"
    limits = Project.open(repository, environment={}).section("score", ScoreParams).parity
    passed, plain = export(int8=False)
    assert passed, plain
    records = pd.read_parquet(package / "anchor.parquet")
    predictor = Predictor.load(package / "model", precision="float32")
    exact = predictor.predict_proba(records).argmax(axis=1)

    passed, sound = export(int8=True)
    agreement, loss = sound["agreement"]["value"], sound["worst_slice_loss"]["value"]
    assert agreement > 0.97
    assert passed is (agreement >= limits.min_agreement and loss <= limits.max_slice_loss)
    found = passed_export(package / "model", exports=exports, threads=1, streams=1)
    assert (found is not None) is passed
    if found is not None:  # what serves is what was compared
        predictor.replace_encoders(found.vectors)
        same = (predictor.predict_proba(records).argmax(axis=1) == exact).mean()
        assert same == pytest.approx(agreement, abs=0.004)  # batches of other threads have other last bits

    monkeypatch.setattr(quantize, "as_int8", one_scale)
    passed, bad = export(int8=True)
    assert not passed
    assert bad["agreement"]["outcome"] == "failed"
    assert bad["agreement"]["value"] < 0.95
    assert bad["worst_slice_loss"]["details"]["slices"] > 3
    assert bad["worst_slice_loss"]["outcome"] == "failed"
    assert passed_export(package / "model", exports=exports, threads=1, streams=1) is None
