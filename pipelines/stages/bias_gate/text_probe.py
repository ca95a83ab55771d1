"""Whether the redacted texts reveal protected attributes: measured always, closing where a limit is set."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema, ProtectedAttribute
from pipelines.stages.bias_gate.params import BiasGateParams
from pipelines.stats.fairness import group_codes
from pipelines.text.attribute_probe import Probe, probe_attribute


def probe_texts(
    records: pd.DataFrame, *, schema: DomainSchema, params: BiasGateParams, seed: int
) -> tuple[list[Check], dict[str, Any]]:
    """Return one check per protected attribute where `max_text_auc` is set, and what was measured, by attribute.

    An attribute with several groups is declared as one attribute per group, so each group is compared with the rest.
    Records of one entity, and the records without one each, share a fold.
    """
    texts = records["text"].fillna("").astype(str).tolist()
    owners = records["entity"].fillna(records["id"]).astype(str).tolist()
    checks, found = [], {}
    for attribute in schema.protected:
        probe = probe_attribute(
            texts,
            group_codes(records[attribute.name]),
            owners,
            max_rows=params.probe_rows,
            min_group_rows=min(params.min_group_rows, params.probe_rows // 10),
            seed=seed,
        )
        found[attribute.name] = probe.as_dict() | {"limit": params.max_text_auc}
        if params.max_text_auc is not None:
            checks.append(_check(attribute, probe, limit=params.max_text_auc, min_rows=params.min_group_rows))
    return checks, found


def _check(attribute: ProtectedAttribute, probe: Probe, *, limit: float, min_rows: int) -> Check:
    smaller = min(probe.members, probe.rows - probe.members)
    telling = ", ".join(f"“{term['term']}”" for term in probe.terms if term["side"] == "member")
    sentence = (
        f"texts alone tell {attribute.member} from {attribute.rest} with an AUC of {probe.auc:.2f}"
        + (f", most by {telling}: remove such words in `redact` of the domain's schema.py" if telling else "")
        if probe.terms or probe.auc == probe.auc
        else f"too few texts with a known {attribute.name.replace('_', ' ')}"
    )
    undefined = probe.auc != probe.auc
    return Check.at_most(
        f"text_reveals:{attribute.name}",
        0.5 if undefined else probe.auc,
        limit=limit,
        interval=None if undefined else probe.interval,
        rows=0 if undefined else smaller,
        min_rows=min_rows,
        required=True,
        undecided_passes_from=min_rows,
        sentence=sentence,
        details={"attribute": attribute.name},
    )
