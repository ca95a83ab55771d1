"""Training and serving see the same: raw rows through ingest, and the same fields through /predict."""

from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from pipelines.records.validation import Origin
from pipelines.runtime.params import section
from pipelines.stages.ingest.batches import Batch, convert_batch
from tests.factories.service import AUTHORIZED, FakePredictor

pytestmark = [pytest.mark.enable_socket, pytest.mark.server, pytest.mark.slow]
START, END = date(2026, 1, 5), date(2026, 1, 8)


class Sees(FakePredictor):
    """Keeps the frames that it was given."""

    def predict(self, records):
        self.frames = [*getattr(self, "frames", []), records]
        return super().predict(records)


def test_the_model_is_given_what_training_was_given(make_set, complaints, repository):
    parameters = section("simulator", repository)
    raw = pd.concat(list(complaints.simulate(start=START, end=END, seed=4, **parameters)), ignore_index=True)
    hard = [
        "Call me at (415) 555-0132,\r\nmy SSN is 123-45-6789 \x07",
        "caf\u0065\u0301 took ${1,240.50} from me@x.org",
    ]
    text_column = "narrative" if "narrative" in raw else "Consumer complaint narrative"
    raw.loc[raw.index[:2], text_column] = hard
    table = pa.Table.from_pandas(raw.astype("object").where(raw.notna(), None).astype("string"), preserve_index=False)
    table = table.cast(pa.schema([(name, pa.large_string()) for name in table.column_names]))
    batch = Batch(table, Origin.of("a.csv", rows=len(raw)))
    trained = convert_batch(
        batch, domain=complaints, start=START, end=END, max_text_chars=200_000, keep_without_text=False
    )
    records = trained.records.head(60).reset_index(drop=True)
    by_id = raw.set_index(raw.columns[[name.lower().replace(" ", "_") == "complaint_id" for name in raw.columns]][0])
    names = [feature.name for feature in complaints.schema.features]
    derived = set(complaints.derive(records))
    sent = [
        {
            "id": row["id"],
            "text": by_id.loc[row["id"], text_column].replace("\x00", ""),
            "received_at": row["received_at"].isoformat(),
            **{name: None if pd.isna(row[name]) else row[name] for name in names if name not in derived},
        }
        for row in records.to_dict("records")
    ]
    model = Sees(complaints.schema.labels)
    with TestClient(make_set(champion=model).app, headers=AUTHORIZED) as client:
        answer = client.post("/predict", json={"records": sent})
    assert answer.status_code == 200, answer.text
    (served,) = model.frames
    for name in ("id", "text", *names):
        left, right = records[name], served[name]
        same = (left == right).fillna(False) | (left.isna() & right.isna())
        assert same.all(), (name, left[~same].tolist()[:3], right[~same].tolist()[:3])
    again = model.predict(records)
    assert [item["label"] for item in answer.json()["predictions"]] == again["label"].tolist()
    assert np.allclose([item["confidence"] for item in answer.json()["predictions"]], again["confidence"], atol=1e-6)
