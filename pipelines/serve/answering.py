"""One batch of live records: who answers which, what is logged, and what the clients get."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.core.live import as_training_sees
from pipelines.core.predictions import SCHEMA_VERSION
from pipelines.serve.canary import is_canary

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.core.domain import Domain
    from pipelines.serve.journal import Journal
    from pipelines.serve.metrics import Metrics
    from pipelines.serve.models import Loaded, Models

logger = logging.getLogger(__name__)


class Answerer:
    """Answers records with the champion or, for its share, the challenger; the other one is asked in the shadow."""

    def __init__(
        self,
        models: Models,
        *,
        domain: Domain,
        journal: Journal,
        metrics: Metrics,
        canary_share: Callable[[], float],
    ) -> None:
        self._models = models
        self._domain = domain
        self._journal = journal
        self._metrics = metrics
        self._canary_share = canary_share
        self._features = [feature.name for feature in domain.schema.features]

    def __call__(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One answer a record, in order: {id, label, confidence, model_version, request_id}."""
        import pandas as pd

        pair = self._models.pair
        frame = as_training_sees(pd.DataFrame(records), domain=self._domain)
        said = {"champion": self._ask(pair.champion, frame, required=True)}
        challenger = pair.challenger
        if challenger is not None:
            trial = self._ask(challenger, frame, required=False)
            if trial is not None:
                said["challenger"] = trial
        share = self._canary_share() if challenger is not None and "challenger" in said else 0.0
        by_canary = [
            is_canary(str(name), share=share, salt=str(challenger.version)) if challenger is not None else False
            for name in frame["id"]
        ]
        versions = {"champion": pair.champion.version, "challenger": challenger.version if challenger else 0}
        rows, answers = self._rows(frame, said, versions=versions, by_canary=by_canary)
        self._journal.write(rows)
        self._metrics.answered(answers)
        return answers

    def _ask(self, model: Loaded, frame: pd.DataFrame, *, required: bool) -> pd.DataFrame | None:
        try:
            answer = model.predictor.predict(frame)
        except Exception:
            self._metrics.failed(model.version)
            if required:
                raise
            logger.exception("challenger %s failed; the champion answers", model.version)
            return None
        self._metrics.called(model.version)
        return answer

    def _rows(
        self, frame: pd.DataFrame, said: dict[str, Any], *, versions: dict[str, int], by_canary: list[bool]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        records = frame[["id", "received_at", *self._features]].astype(object).where(frame.notna(), None)
        lengths = frame["text"].str.len().to_numpy()
        rows, answers = [], []
        for place, record in enumerate(records.to_dict("records")):
            name = str(record.pop("id"))
            request = uuid.uuid4().hex
            common = {
                **record,
                "schema_version": SCHEMA_VERSION,
                "request_id": request,
                "record_id": name,
                "served_at": now,
                "text_length": int(lengths[place]),
            }
            for who, answer in said.items():
                answers_it = (who == "challenger") == by_canary[place]
                role = ("canary" if who == "challenger" else "champion") if answers_it else "shadow"
                line = {
                    **common,
                    "model_version": versions[who],
                    "role": role,
                    "label": str(answer["label"].iloc[place]),
                    "confidence": float(answer["confidence"].iloc[place]),
                }
                rows.append(line)
                if answers_it:
                    answers.append(
                        {
                            "id": name,
                            "label": line["label"],
                            "confidence": line["confidence"],
                            "model_version": line["model_version"],
                            "request_id": request,
                        }
                    )
        return rows, answers
