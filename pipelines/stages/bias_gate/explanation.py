"""Why a check failed: the harmed group, the labeling functions that cause it, and a few of its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.labeling import ABSTAIN
from pipelines.records.schema import ProtectedAttribute
from pipelines.stages.bias_gate.causes import Cause, Votes, find_causes
from pipelines.stages.bias_gate.findings import Finding
from pipelines.stages.bias_gate.measure import Rows

N_SHOWN = 3
TEXT_SHOWN = 240


def explain(
    finding: Finding, *, votes: Votes, rows: Rows, attribute: ProtectedAttribute, n_labels: int
) -> tuple[Check, list[Cause]]:
    """Return a failed check with the harmed group and its causes in the details, best explanation first."""
    causes = find_causes(
        replace(votes, matrix=votes.matrix[finding.on]),
        rows.where(finding.on),
        disparity=finding.disparity,
        allowed=finding.allowed,
        n_labels=n_labels,
        harmed=finding.harmed,
    )
    harmed = attribute.member if finding.harmed == 1 else attribute.rest
    named = [cause.labeling_function for cause in causes]
    tail = f"caused by labeling functions {', '.join(named)}" if named else "no labeling function explains it alone"
    check = replace(
        finding.check,
        sentence=f"{finding.check.sentence}; harmed: {harmed}; {tail}",
        details={
            "attribute": attribute.name,
            "group": harmed,
            "labeling_functions": named,
            "causes": [cause.as_dict() for cause in causes],
        },
    )
    return check, causes


def harmed_records(
    records: pd.DataFrame,
    *,
    votes: Votes,
    rows: Rows,
    finding: Finding,
    causes: Sequence[Cause],
    attribute: ProtectedAttribute,
    labels: Sequence[str],
) -> list[dict[str, Any]]:
    """Return three records of the harmed group with a wrong or missing label, those misled by a cause first."""
    matrix, names = votes.matrix, list(votes.names)
    wrong = rows.has_gold & (rows.codes != rows.gold)
    missing = rows.codes == ABSTAIN
    by_cause = matrix[:, [names.index(cause.labeling_function) for cause in causes]]
    misled = ((by_cause != ABSTAIN) & (by_cause != rows.gold[:, None])).any(axis=1) & rows.has_gold
    places = np.flatnonzero((rows.group == finding.harmed) & (wrong | missing))
    order = np.lexsort((records["id"].to_numpy(dtype=str)[places], ~wrong[places], ~misled[places]))
    return [
        {
            "check": finding.check.name,
            "attribute": attribute.name,
            "group": attribute.member if finding.harmed == 1 else attribute.rest,
            "id": str(records["id"].iloc[place]),
            "gold": labels[rows.gold[place]] if rows.gold[place] != ABSTAIN else None,
            "weak_label": labels[rows.codes[place]] if rows.codes[place] != ABSTAIN else None,
            "votes": {names[int(j)]: labels[matrix[place, j]] for j in np.flatnonzero(matrix[place] != ABSTAIN)},
            "text": str(records["text"].iloc[place])[:TEXT_SHOWN],
        }
        for place in places[order][:N_SHOWN]
    ]
