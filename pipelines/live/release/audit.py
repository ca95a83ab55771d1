"""The feedback check before a release: was the candidate trained on the answers of its own predecessor?"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def audit_retraining(root: Path, *, max_share: float) -> dict[str, Any]:
    """The feedback check of what a checkout was just trained on; GateClosed where more than the cap is surely its own.

    Late labels that do not say who gave them leave it open between none and all that agree: that is written down.
    """
    import pandas as pd

    from pipelines.monitoring.feedback import feedback_between
    from pipelines.monitoring.live_state import live_folder
    from pipelines.runtime.errors import GateClosed
    from pipelines.runtime.project import Project

    split = pd.read_parquet(root / "data" / "split" / "records.parquet", columns=["id", "part", "received_at"])
    weak = pd.read_parquet(root / "data" / "label" / "records.parquet", columns=["id", "weak_label"])
    rows = split[split["part"] == "train"].merge(weak.dropna(), on="id").rename(columns={"weak_label": "label"})
    start, end = rows["received_at"].min().date(), split["received_at"].max().date() + timedelta(days=1)
    check = feedback_between(live_folder(Project.open(root)), rows, start=start, end=end, max_share=max_share)
    if check.outcome == "failed":
        raise GateClosed(f"feedback loop: {check.sentence}; at most {check.limit:.0%} may. Nothing was registered")
    logger.info("feedback loop: %s (%s)", check.sentence, check.outcome)
    return {"share": check.value, "rows": check.rows, "outcome": check.outcome}
