"""The gold rows of a test set, a model's predictions for them, and the table that later stages read."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.runtime.errors import InputError
from pipelines.stages.evaluate.scores import Answers, Floats


def gold_rows(records: pd.DataFrame, *, part: str) -> pd.DataFrame:
    """Return the rows of one test set whose gold label has arrived."""
    return records[(records["part"] == part) & records["gold"].notna()].reset_index(drop=True)


def answers_of(rows: pd.DataFrame, probabilities: Floats, *, labels: Sequence[str], given: Sequence[str]) -> Answers:
    """Return answers with columns in the domain's order of labels; InputError when the model has other labels."""
    if set(labels) != set(given) or len(labels) != len(given):
        raise InputError(
            f"the model predicts {', '.join(given)}, the domain's labels are {', '.join(labels)}: train it again"
        )
    if probabilities.shape != (len(rows), len(labels)):
        raise InputError(f"invalid probabilities of shape {probabilities.shape}: expected {(len(rows), len(labels))}")
    order = [list(given).index(label) for label in labels]
    index = {label: code for code, label in enumerate(labels)}
    return Answers(
        labels=tuple(labels),
        gold=np.array([index[label] for label in rows["gold"]], dtype=np.int64),
        probabilities=np.asarray(probabilities, dtype=np.float64)[:, order],
    )


def prediction_table(rows: pd.DataFrame, answers: Answers, *, part: str, candidate: str) -> pd.DataFrame:
    """Return `id`, `part`, `candidate`, `label`, `confidence` and one column `p_<label>` per class."""
    names = np.array(answers.labels, dtype=object)
    table = pd.DataFrame(
        {
            "id": rows["id"].astype("string"),
            "part": pd.Series(part, index=rows.index, dtype="string"),
            "candidate": pd.Series(candidate, index=rows.index, dtype="string"),
            "label": pd.Series(names[answers.predicted], index=rows.index, dtype="string"),
            "confidence": answers.confidence,
        }
    )
    for code, label in enumerate(answers.labels):
        table[f"p_{label}"] = answers.probabilities[:, code]
    return table
