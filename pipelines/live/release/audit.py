"""The feedback check before a release: how much of its training data did the model label itself?"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import GateClosed, InputError
from pipelines.runtime.store import Store

logger = logging.getLogger(__name__)


def audit_retraining(store: Store, live: Path, *, max_share: float) -> dict[str, Any]:
    """Check the rows that the checkout was just trained on and return {"share", "rows", "outcome"}.

    Raises GateClosed when more than `max_share` of them certainly carry the model's own answer. Late labels without a
    source leave the share open between none and all that agree with an answer; the outcome is "undecided" then.
    """
    from pipelines.monitoring.feedback import feedback_between

    split = store.read_records("split", columns=["id", "part", "received_at"])
    weak = store.read_records("label", columns=["id", "training_label"])
    rows = split[split["part"] == "train"].merge(weak.dropna(), on="id").rename(columns={"training_label": "label"})
    start, end = rows["received_at"].min().date(), split["received_at"].max().date() + timedelta(days=1)
    check = feedback_between(live, rows, start=start, end=end, max_share=max_share)
    if check.outcome == "failed":
        raise GateClosed(f"feedback loop: {check.sentence}; the limit is {check.limit:.0%}. Nothing was registered")
    logger.info("feedback loop: %s (%s)", check.sentence, check.outcome)
    return {"share": check.value, "rows": check.rows, "outcome": check.outcome}


def audit_file(file: Path, live: Path, *, start: date, end: date, max_share: float) -> dict[str, Any]:
    """Check the training rows (`id`, `label`) of a Parquet file against the UTC days [start, end) of live answers.

    Raises InputError when the file is not readable, GateClosed when the check would close a gate.
    """
    import pandas as pd

    from pipelines.monitoring.feedback import feedback_between

    try:
        rows = pd.read_parquet(file, columns=["id", "label"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} is not a Parquet file with the columns id and label: {error}") from None
    check = feedback_between(live, rows, start=start, end=end, max_share=max_share)
    if check.closes:
        raise GateClosed(f"feedback loop: {check.sentence}; the limit is {check.limit:.0%}")
    return {"check": check.name, "share": check.value, "rows": check.rows, "outcome": check.outcome}
