"""UCI Adult and German credit as the bias gate and evaluate see them: records in parts, votes, weights and answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.errors

from pipelines.gates.verdict import Check, Verdict
from pipelines.records.domain import Domain
from pipelines.records.labeling import cast_votes
from pipelines.records.majority import majority_vote
from pipelines.records.records import as_canonical
from pipelines.stages.bias_gate.causes import Votes
from pipelines.stages.bias_gate.gate import BiasMeasurement, LabeledRecords, measure_bias
from pipelines.stages.evaluate.checks import fairness_checks
from pipelines.stages.evaluate.fairness import measure_fairness
from pipelines.stages.evaluate.params import FairnessParams
from pipelines.stages.evaluate.predictions import answers_of
from tests.factories.letters import bias_params

DOMAINS = Path(__file__).resolve().parents[1] / "domains"
ADULT = [
    "age", "workclass", "fnlwgt", "education", "education_years", "marital", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours", "country", "income",
]  # fmt: skip
LIMITS = FairnessParams(min_disparate_impact=0.8, max_equal_opportunity=0.1, max_equalized_odds=0.1, min_group_rows=100)


def raw_table(name: str, folder: Path) -> pd.DataFrame:
    """Return the rows of a data set as a file with a header would give them."""
    if name == "german":
        return pd.read_csv(folder / "german.csv", dtype=str)
    shape = {"header": None, "names": ADULT, "skipinitialspace": True, "dtype": str}
    parts = [pd.read_csv(folder / "adult.data.gz", **shape), pd.read_csv(folder / "adult.test.gz", skiprows=1, **shape)]
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(income=whole["income"].str.rstrip("."))


@dataclass(frozen=True)
class Table:
    """A domain without texts, and its records in three parts in the order of the file."""

    domain: Domain
    records: pd.DataFrame

    @classmethod
    def of(cls, name: str, folder: Path) -> Table:
        """Read a domain of tests/domains; the newest fifth is `recent`, a tenth before it `validation`."""
        domain = Domain(DOMAINS / name)
        frame = domain.normalize(raw_table(name, folder))
        try:
            frame = domain.raw_schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as error:
            raise AssertionError(error.failure_cases) from None
        records = as_canonical(domain.to_records(frame), schema=domain.schema)
        records = records.sort_values(["received_at", "id"], ignore_index=True)
        place = np.arange(len(records)) / len(records)
        return cls(
            domain, records.assign(part=np.select([place < 0.7, place < 0.8], ["train", "validation"], "recent"))
        )

    @cached_property
    def matrix(self) -> np.ndarray:
        """Return the votes of the labeling functions, (n, functions)."""
        votes = cast_votes(self.domain.labeling_functions, self.records, labels=self.domain.schema.labels)
        return votes.drop(columns="id").to_numpy()

    def bias(self, **changes) -> tuple[BiasMeasurement, dict[str, Check]]:
        """Return what the bias gate measures, with training on gold, and its checks by name."""
        schema, records = self.domain.schema, self.records
        codes = majority_vote(self.matrix, n_labels=2, ties="abstain")
        names = np.array([*schema.labels, None], dtype=object)
        weak = pd.Series(pd.array(names[codes], dtype="string"))
        data = LabeledRecords(
            records,
            weak,
            records["gold"].where(records["part"] == "train"),
            Votes(self.matrix, names=[item.name for item in self.domain.labeling_functions], ties="abstain"),
            ingested=records[["id", *(item.name for item in schema.protected)]],
            outcomes=pd.Series(np.where(codes >= 0, "labeled", "unlabeled")),
        )
        found = measure_bias(data, schema=schema, params=bias_params(**{"min_group_rows": 100, **changes}))
        return found, {check.name: check for check in Verdict.of("bias_gate", found.checks).checks}

    def answers(self, weights: pd.DataFrame | None = None) -> dict[str, Check]:
        """Return the fairness checks of a logistic regression on the features, trained with these weights."""
        from sklearn.compose import make_column_transformer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        schema, train = self.domain.schema, self.records[self.records["part"] == "train"]
        recent = self.records[self.records["part"] == "recent"].reset_index(drop=True)
        categories = [item.name for item in schema.features if item.kind == "category"]
        numbers = [item.name for item in schema.features if item.kind == "number"]
        model = make_pipeline(
            make_column_transformer((OneHotEncoder(handle_unknown="ignore"), categories), (StandardScaler(), numbers)),
            LogisticRegression(max_iter=1000),
        )
        used = None if weights is None else weights.set_index("id")["weight"].reindex(train["id"]).to_numpy()
        columns = [*categories, *numbers]
        as_object = dict.fromkeys(categories, "object")
        model.fit(
            train[columns].astype(as_object).fillna("none"),
            train["gold"].astype("object"),
            logisticregression__sample_weight=used,
        )
        given = tuple(str(label) for label in model.classes_)
        probabilities = model.predict_proba(recent[columns].astype(as_object).fillna("none"))
        answers = answers_of(recent, probabilities, labels=schema.labels, given=given)
        found = measure_fairness({"recent": (answers, recent)}, schema=schema, confidence=0.9, limits=LIMITS)
        return {check.name: check for check in fairness_checks(found, min_group_rows=LIMITS.min_group_rows)}
