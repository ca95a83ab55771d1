"""How late labels were obtained, and whether the labeled records can represent all that were answered.

Labels that come because an answer was wrong (complaints, corrections) do not measure the answers without a label.
Models are therefore compared on records whose labels were obtained under a known sampling, and only while the labeled
ones do not differ from the others of the same days in what the models answered.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

OBTAINED = ("random_audit", "all_records", "complaint", "correction", "review_queue")
SAMPLED = ("random_audit", "all_records")  # chosen without regard to the answer
DEFAULT = "all_records"  # of labels that were stored before they carried how they were obtained
LEVEL = 0.001  # chance of finding a dependence where there is none, over all comparisons of one evaluation
MIN_SHIFT = 0.02  # share, or mean confidence, by which labeled records must differ from all; less does no harm
MIN_SHARE = 0.5  # of the old records, labeled: fewer are not "all records"
OLD = 2.0  # times the usual delay of a label, and a week: what is older has its label or never gets one
USUAL = 0.95  # quantile of the delays that is the usual delay


def require_obtained(labels: pd.DataFrame) -> None:
    """Raise InputError for the first label whose `obtained` is not one of OBTAINED."""
    wrong = (~labels["obtained"].isin(OBTAINED)).to_numpy(dtype=bool)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"late labels: invalid obtained {labels['obtained'].iloc[row]!r} in row {row}, record "
            f"{labels['record_id'].iloc[row]!r}: expected one of {', '.join(OBTAINED)}"
        )


def latest_labels(labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per labeled record: its latest `label`, and how it came to be in view.

    `sampled_at` is when it was first labeled under a known sampling, null if it never was, and `complete` whether that
    label was one of "all records". Of labels of one moment the one that was written last is the latest.
    """
    known = labels.assign(obtained=labels["obtained"].fillna(DEFAULT) if "obtained" in labels else DEFAULT)
    ordered = known.sort_values("labeled_at", kind="stable")
    latest = ordered.drop_duplicates("record_id", keep="last")
    first = ordered[ordered["obtained"].isin(SAMPLED)].drop_duplicates("record_id", keep="first").set_index("record_id")
    found = first[["labeled_at", "obtained"]].reindex(latest["record_id"]).set_axis(latest.index)
    complete = found["obtained"].eq("all_records").fillna(False).astype(bool)
    return latest.assign(sampled_at=found["labeled_at"], complete=complete)


def count_obtained(labels: pd.DataFrame) -> dict[str, int]:
    """Return the number of labels by how they were obtained."""
    if labels.empty:
        return {}
    known = labels["obtained"].fillna(DEFAULT) if "obtained" in labels else labels["record_id"].map(lambda _: DEFAULT)
    return {str(name): int(n) for name, n in known.value_counts().sort_index().items()}


def find_selection(answered: pd.DataFrame, facts: Mapping[str, pd.Series]) -> dict[str, Any]:
    """Return whether labels depend on the answers: {"depends", "why", "labeled", "rows", "found"}.

    `answered` has one row per answered record: `received_at`, `sampled_at` (null without a label) and `complete`;
    `facts` are what is known of the same rows without a label, each in [0, 1], by name. Within a day of receipt, which
    records have a label is compared with what chance alone would choose: the sum of a fact over the labeled records is
    a sum of draws without replacement, whose mean and variance are exact; the days' sums are added, and the normal
    approximation is used at LEVEL divided by the number of facts. Differences below MIN_SHIFT do not count.
    """
    import numpy as np

    labeled = answered["sampled_at"].notna().to_numpy(dtype=bool)
    result: dict[str, Any] = {"depends": False, "why": "", "labeled": int(labeled.sum()), "rows": len(answered)}
    result["found"] = []
    if not labeled.any():
        return result
    if why := _incomplete(answered, labeled=labeled):
        return result | {"depends": True, "why": why}
    day = np.unique(answered["received_at"].dt.floor("D").to_numpy(), return_inverse=True)[1]
    rows, drawn = np.bincount(day), np.bincount(day, weights=labeled)
    varying = {name: values.to_numpy(dtype=np.float64) for name, values in facts.items() if values.nunique() > 1}
    limit = NormalDist().inv_cdf(1 - LEVEL / 2 / max(len(varying), 1))
    for name, values in varying.items():
        mean = np.bincount(day, weights=values) / rows
        spread = np.bincount(day, weights=(values - mean[day]) ** 2) / np.maximum(rows - 1, 1)
        excess = float((values - mean[day])[labeled].sum())
        deviation = math.sqrt(float((spread * drawn * (rows - drawn) / rows).sum()))
        shift = excess / float(labeled.sum())
        if abs(shift) >= MIN_SHIFT and abs(excess) > limit * deviation:
            # The mean of all records of the same days, each day with the weight of its labeled records.
            everywhere = float((mean * drawn).sum() / drawn.sum())
            result["found"].append({"fact": name, "labeled": everywhere + shift, "all": everywhere})
    if result["found"]:
        most = max(result["found"], key=lambda item: abs(item["labeled"] - item["all"]))
        return result | {"depends": True, "why": _sentence(most)}
    return result


def _sentence(found: Mapping[str, Any]) -> str:
    return (
        f"undecided: which records have a label depends on the answers. {found['fact']}: {found['labeled']:.3f} among "
        f"the labeled records, {found['all']:.3f} among all answered records of the same days. Label a random share "
        "of the answers and state obtained = random_audit"
    )


def _incomplete(answered: pd.DataFrame, *, labeled: Any) -> str:
    """Return why labels that are stated to be of all records are not, or ''."""
    import pandas as pd

    audited = labeled & ~answered["complete"].to_numpy(dtype=bool)
    full = answered[labeled & ~audited]
    if full.empty:
        return ""
    delay = (full["sampled_at"] - full["received_at"]).dt.total_seconds().quantile(USUAL)
    until = full["sampled_at"].max() - pd.Timedelta(seconds=OLD * max(float(delay), 0.0)) - pd.Timedelta(days=7)
    old = (answered["received_at"] < until).to_numpy(dtype=bool) & ~audited
    n_old, n_labeled = int(old.sum()), int((old & labeled).sum())
    if n_old == 0 or n_labeled >= MIN_SHARE * n_old:
        return ""
    return (
        f"undecided: labels are stated as all_records, but only {n_labeled} of {n_old} records received before "
        f"{until:%Y-%m-%d} have one, so what is missing may depend on the answers. State how labels were obtained "
        f"({', '.join(OBTAINED)}), or label a random share of the answers as random_audit"
    )


def facts_of(answers: Mapping[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Return what `find_selection` compares: confidence and answered class of each version, and where two differ.

    `answers` are `label` and `confidence` per version, named as in a sentence, of the same rows in the same order.
    """
    facts: dict[str, pd.Series] = {}
    for side, frame in answers.items():
        facts[f"mean confidence of the {side}"] = frame["confidence"].fillna(0.0)
        for label in sorted(frame["label"].dropna().unique()):
            facts[f"share of answers {label} by the {side}"] = (frame["label"] == label).astype("float64")
    if len(answers) == 2:
        first, second = (frame["label"].astype("string") for frame in answers.values())
        facts["share of records that both answer differently"] = (first != second).astype("float64")
    return facts
