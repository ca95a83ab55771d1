"""The registered model as MLflow loads it: from code, without pickle; everything it needs is in its artifacts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

logging.getLogger("transformers").setLevel(logging.ERROR)


class PerennialModel(PythonModel):
    """Answers `label`, `confidence` and one probability per label for records with `text` and the features."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the predictor from the package in the version's artifacts."""
        from pipelines.models.predictor import Predictor

        model = Path(context.artifacts["package"]) / "model"
        self.predictor = Predictor.load(model, encoder_folder=model / "encoder")

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return a frame with one row per record, in the order of the input."""
        records = pd.DataFrame(model_input).copy()
        records["text"] = records["text"].fillna("").astype(str)
        for feature in self.predictor.features:
            if feature not in records:
                records[feature] = None
        probabilities = self.predictor.predict_proba(records)
        answer = pd.DataFrame(probabilities, columns=[f"p_{label}" for label in self.predictor.labels])
        answer.insert(0, "confidence", probabilities.max(axis=1))
        answer.insert(0, "label", [self.predictor.labels[index] for index in probabilities.argmax(axis=1)])
        return answer


mlflow.models.set_model(PerennialModel())
