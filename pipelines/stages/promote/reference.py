"""The drift profile of a candidate, which live data is compared with after the release."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.models.predictor import Predictor
from pipelines.profile.freeze import build_profile
from pipelines.profile.profile import Profile
from pipelines.records.schema import DomainSchema
from pipelines.runtime.errors import InputError
from pipelines.stages.promote.params import PromoteParams


def freeze_profile(
    reference: pd.DataFrame,
    split: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    model: Path,
    models_folder: Path | None,
    digest: str,
    schema: DomainSchema,
    params: PromoteParams,
) -> Profile:
    """Return the profile of the window's accepted rows, before dedupe, and of predictions for rows not trained on."""
    if reference.empty:
        raise InputError("data/ingest/records.parquet has no rows: live data could not be compared with it")
    days = reference["received_at"].dt.date
    rows = spread(reference, n_rows=params.embedded_rows)
    has_text = bool((reference["text"].iloc[rows] != "").any())
    answered = predictions[["id", "label", "confidence"]].merge(split[["id", "received_at", "gold"]], on="id")
    others = unseen_rows(reference, split, answered=set(answered["id"]), n_rows=params.predicted_rows)
    if len(others):
        answers = (
            Predictor.load(model, models_folder=models_folder).predict(others).assign(received_at=others["received_at"])
        )
        answered = pd.concat([answered, answers], ignore_index=True)
    return build_profile(
        reference,
        start=days.min(),
        end=days.max() + timedelta(days=1),
        domain=schema.name,
        model_digest=digest,
        categories=[feature.name for feature in schema.features if feature.kind == "category"],
        numbers=[feature.name for feature in schema.features if feature.kind == "number"],
        labels=schema.labels,
        params=params.profile,
        predictions=answered,
        embeddings=embed(reference["text"].iloc[rows].tolist(), model=model, models_folder=models_folder)
        if has_text
        else None,
        embedded=rows if has_text else None,
    )


def unseen_rows(reference: pd.DataFrame, split: pd.DataFrame, *, answered: set[str], n_rows: int) -> pd.DataFrame:
    """Return rows received after the last training row, evenly spread over time.

    Earlier unseen rows were dropped or never labeled, so they do not represent the input.
    """
    trained_until = split.loc[split["part"] == "train", "received_at"].max()
    seen = set(split.loc[split["part"].isin(["train", "validation"]), "id"])
    unseen = ~reference["id"].isin(seen | answered)
    if pd.notna(trained_until):
        unseen &= reference["received_at"] > trained_until
    found = reference[unseen].reset_index(drop=True)
    return found.iloc[spread(found, n_rows=n_rows)].reset_index(drop=True)


def spread(frame: pd.DataFrame, *, n_rows: int) -> NDArray[np.int64]:
    """Return the positions of at most `n_rows` rows, evenly spread over time."""
    order = np.argsort(frame["received_at"].to_numpy(), kind="stable")
    if len(order) <= n_rows:
        return np.sort(order).astype(np.int64)
    return np.sort(order[np.linspace(0, len(order) - 1, n_rows).round().astype(np.int64)]).astype(np.int64)


def embed(texts: list[str], *, model: Path, models_folder: Path | None) -> NDArray[np.float64]:
    """Return texts as vectors (n, d) of the candidate's base model."""
    from pipelines.models.encoder import Encoder
    from pipelines.models.manifest import Manifest

    encoder = Encoder.load(Manifest.read(model).encoder, models_folder=models_folder)
    return encoder.embed(texts, progress="profile").astype(np.float64)
