"""A live record brought into the form that training saw: the same cleaning, the same derived features, redaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.records.domain import Domain


def as_training_sees(records: pd.DataFrame, *, domain: Domain) -> pd.DataFrame:
    """Records with `text` cleaned, features that the domain derives from it filled in, then personal data redacted.

    The order is ingest's: derived features are counted on the text as it came. A feature that is neither given nor
    derived is null.
    """
    import pandas as pd
    import polars as pl

    from pipelines.records.redaction import clean, redact

    frame = records.reset_index(drop=True).copy()
    texts = clean(pl.Series("text", frame["text"].fillna("").astype(str).tolist(), dtype=pl.String))
    texts = texts.str.strip_chars()  # as the domains do with every raw cell
    frame["text"] = pd.Series(texts.to_list(), dtype="string")
    for name, column in domain.derive(frame).items():
        frame[name] = column.to_numpy()
    for feature in domain.schema.features:
        if feature.name not in frame:
            frame[feature.name] = None
        frame[feature.name] = frame[feature.name].astype("string" if feature.kind == "category" else "float64")
    frame["text"] = pd.Series(redact(texts)[0].to_list(), dtype="string")
    return frame
