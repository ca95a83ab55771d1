"""The feedback check before a release: self-labeled rows are counted, capped, and undecided without sources."""

import numpy as np
import pandas as pd
import pytest

from pipelines.live.release.audit import audit_retraining
from pipelines.monitoring.predictions import add_labels, add_predictions
from pipelines.runtime.errors import GateClosed
from pipelines.runtime.store import Store

ROWS = 120


@pytest.fixture
def answers(tmp_path):
    """Live answers of version 3, written to the live folder `tmp_path/live`."""
    received = pd.date_range("2025-07-28", periods=ROWS, freq="20min", tz="UTC")
    frame = pd.DataFrame(
        {
            "schema_version": 1,
            "request_id": [f"q{i}" for i in range(ROWS)],
            "record_id": [f"r{i}" for i in range(ROWS)],
            "received_at": received,
            "served_at": received,
            "model_version": 3,
            "role": "champion",
            "label": np.where(np.arange(ROWS) % 2, "card", "loan"),
            "confidence": 0.8,
            "text_length": 5,
        }
    )
    add_predictions(tmp_path / "live", frame)
    return frame


@pytest.mark.parametrize(("source", "outcome"), [(None, "undecided"), ("product team", "passed"), ("model", "failed")])
def test_training_rows_with_the_models_own_label_are_counted_and_capped(tmp_path, answers, source, outcome):
    labels = answers.assign(labeled_at=answers["received_at"] + pd.Timedelta(hours=1))
    add_labels(tmp_path / "live", labels if source is None else labels.assign(source=source))
    store = Store(tmp_path / "data")
    trained = answers.rename(columns={"record_id": "id", "label": "training_label"}).assign(part="train")
    for stage in ("split", "label"):
        store.write_records(stage, trained)
    if outcome == "failed":
        with pytest.raises(GateClosed, match=f"{ROWS} of {ROWS} training rows"):
            audit_retraining(store, tmp_path / "live", max_share=0.2)
    else:
        assert audit_retraining(store, tmp_path / "live", max_share=0.2)["outcome"] == outcome
