"""The drift profile of a candidate: what live data will be compared with, once it is released."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.models.predictor import Predictor
from pipelines.profile.profile import Profile, build_profile
from pipelines.records.domain import DomainSchema
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
    """The profile of the window's accepted rows, before dedupe, and of what the model says on rows it never saw."""
    if reference.empty:
        raise InputError("data/ingest/records.parquet holds no row, so there is nothing to compare live data with")
    days = reference["received_at"].dt.date
    rows = spread(reference, most=params.embedded_rows)
    has_text = bool((reference["text"].iloc[rows] != "").any())
    said = predictions[["id", "label", "confidence"]].merge(split[["id", "received_at", "gold"]], on="id")
    others = unseen_rows(reference, split, answered=set(said["id"]), most=params.predicted_rows)
    if len(others):
        answers = (
            Predictor.load(model, models_folder=models_folder).predict(others).assign(received_at=others["received_at"])
        )
        said = pd.concat([said, answers], ignore_index=True)
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
        predictions=said,
        embeddings=embed(reference["text"].iloc[rows].tolist(), model=model, models_folder=models_folder)
        if has_text
        else None,
        embedded=rows if has_text else None,
    )


def unseen_rows(reference: pd.DataFrame, split: pd.DataFrame, *, answered: set[str], most: int) -> pd.DataFrame:
    """Rows from after the last one trained on, evenly spread over time.

    Before it only what was dropped or never labeled is unseen, and that is no picture of what comes in.
    """
    trained_until = split.loc[split["part"] == "train", "received_at"].max()
    seen = set(split.loc[split["part"].isin(["train", "validation"]), "id"])
    unseen = ~reference["id"].isin(seen | answered)
    if pd.notna(trained_until):
        unseen &= reference["received_at"] > trained_until
    found = reference[unseen].reset_index(drop=True)
    return found.iloc[spread(found, most=most)].reset_index(drop=True)


def spread(frame: pd.DataFrame, *, most: int) -> NDArray[np.int64]:
    """Positions of at most so many rows, evenly spread over time."""
    order = np.argsort(frame["received_at"].to_numpy(), kind="stable")
    if len(order) <= most:
        return np.sort(order).astype(np.int64)
    return np.sort(order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)]).astype(np.int64)


def embed(texts: list[str], *, model: Path, models_folder: Path | None) -> NDArray[np.float64]:
    """The texts as vectors of the base model that the candidate stands on."""
    from pipelines.models.encoder import Encoder
    from pipelines.models.manifest import Manifest

    encoder = Encoder.load(Manifest.read(model).encoder, models_folder=models_folder)
    return encoder.embed(texts, progress="profile").astype(np.float64)
