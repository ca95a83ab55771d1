"""Gold labels that were planted, or are wrong in the same place: by source and day, by copies, by new words.

Five checks, each closed on evidence only. Labels are compared with what the texts of other days predict
(`consistency`), groups with the rest of the stream (`bursts`). The three checks that count groups share
`max_false_alarm`: a stream in which labels are wrong at random closes one of them with at most that probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema
from pipelines.stages.split.bursts import PRIOR_ROWS, Group, Windows, apart, contradicted, new_words, volume_bursts
from pipelines.stages.split.consistency import Codes, Consistency, Mask, compare_labels
from pipelines.stages.split.params import PoisonParams
from pipelines.stats.intervals import wilson
from pipelines.text.words import WordTable

SHOWN_GROUPS, SHOWN_ROWS, SHOWN_CHARS = 5, 40, 200
MIN_SKILL = (
    0.25  # share of the most frequent class's errors that the texts must avoid before they can decide on all labels
)
FAMILIES = 3  # checks that share the false-alarm rate


@dataclass(frozen=True)
class GoldRows:
    """Gold rows (n,) of all parts, the copies that dedupe dropped included, and their words."""

    rows: pd.DataFrame
    words: WordTable
    schema: DomainSchema

    @cached_property
    def codes(self) -> Codes:
        """Return the class of each row."""
        return np.asarray(pd.Categorical(self.rows["gold"], categories=self.schema.labels).codes, dtype=np.int64)

    @cached_property
    def clusters(self) -> Codes:
        """Return the cluster of copies that each row is in."""
        return np.asarray(pd.factorize(self.rows["kept_id"])[0], dtype=np.int64)

    @cached_property
    def sources(self) -> dict[str, Codes]:
        """Return what a row may come from, -1 where unknown: its entity, and each feature that is a category."""
        names = ["entity", *(feature.name for feature in self.schema.features if feature.kind == "category")]
        found = {name: np.asarray(pd.factorize(self.rows[name].astype("object"))[0], np.int64) for name in names}
        return {name: codes for name, codes in found.items() if (codes != codes[:1]).any()}

    def days(self, column: str) -> Codes:
        """Return the day of a time in each row; a missing one is that of `received_at`."""
        moments = self.rows[column].fillna(self.rows["received_at"])
        return np.asarray((moments - pd.Timestamp("1970-01-01", tz="UTC")) // pd.Timedelta(days=1), dtype=np.int64)

    def sample(self, size: int, *, seed: int) -> GoldRows:
        """Return at most `size` of the rows, drawn by the seed."""
        if len(self.rows) <= size:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.rows), size, replace=False))
        return GoldRows(self.rows.iloc[chosen].reset_index(drop=True), self.words.rows(chosen), self.schema)


def with_copies(gold_rows: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """Return gold rows with the text they are a copy of (`kept_id`, their own id if kept), dropped copies last."""
    dropped = copies.reindex(columns=["kept_id", *gold_rows.columns])
    dropped = dropped[dropped["kept_id"].isin(gold_rows["id"]) & dropped["gold"].notna()]
    kept = gold_rows.assign(kept_id=gold_rows["id"])
    if dropped.empty:
        return kept.reset_index(drop=True)
    return pd.concat([kept, dropped.astype(kept.dtypes[dropped.columns].to_dict())], ignore_index=True)


def poison_checks(gold: GoldRows, *, params: PoisonParams, seed: int) -> tuple[list[Check], list[dict[str, Any]]]:
    """Return the checks, and the suspected rows with the reason of each."""
    conflicting = _copies_check(gold, params=params)
    gold = gold.sample(params.max_rows, seed=seed)
    words = gold.words.often(params.min_rows)
    near = gold.days("received_at")
    found = compare_labels(
        gold.words.weights(),
        gold.codes,
        n_labels=len(gold.schema.labels),
        days=near,
        held=[gold.clusters, *([gold.sources["entity"]] if "entity" in gold.sources else [])],
        folds=params.folds,
        gap_days=params.burst_days,
    )
    new = list(
        new_words(words.present, near, width=params.burst_days, min_rows=params.min_rows, min_share=params.min_purity)
    )
    groups = {
        "contradicted_groups": _contradicted(gold, found, new, params=params),
        "source_bursts": _bursts(gold, params=params),
        "trigger_words": _triggers(gold, found, new, names=words.names, tested=words.present.shape[1], params=params),
    }
    titles = {
        "contradicted_groups": "groups of gold labels are contradicted by what the texts of other days predict",
        "source_bursts": "times one source gave unusually many gold labels of one class within "
        f"{params.burst_days} days",
        "trigger_words": "words are new within days and come nearly only with one class, from one source or "
        "with texts of other classes",
    }
    checks = [
        _group_check(name, groups[name], gold=gold, found=found, title=titles[name], params=params) for name in groups
    ]
    checks += [_consistency_check(found, gold=gold, params=params), conflicting]
    return checks, _suspected(checks, found, gold=gold)


def _contradicted(
    gold: GoldRows, found: Consistency, new: Sequence[tuple[int, Codes]], *, params: PoisonParams
) -> list[Group]:
    """Return contradicted groups: of a class and of a source and class within days, of a source, and of a new word."""
    codes, k = gold.codes, len(gold.schema.labels)
    of_class = np.array(
        [found.suspect[own].mean() if (own := (codes == label) & found.known).any() else 0.0 for label in range(k)]
    )
    every = np.zeros(len(codes), dtype=np.int64)
    axes = {name: gold.days(name) for name in ("received_at", "gold_at")}
    if len(np.unique(axes["gold_at"] - axes["received_at"])) < 2:
        del axes["gold_at"]  # the same windows
    families = {}
    for axis, days in axes.items():
        shown = "" if axis == "received_at" else " (gold_at)"
        families[f"class{shown}"] = Windows.of(np.where(found.known, codes, -1), days, width=params.burst_days)
        for name, source in gold.sources.items():
            keys = np.where((source >= 0) & found.known, source * k + codes, -1)
            families[f"{name}{shown}"] = Windows.of(keys, days, width=params.burst_days)
    for name, source in gold.sources.items():
        keys = np.where(found.known, source, -1)
        families[f"{name}, all days"] = Windows.of(keys, every, width=1)
    if new:
        order = np.concatenate([rows for _, rows in new])
        ends = np.cumsum([len(rows) for _, rows in new])
        families["new word"] = Windows(order, np.concatenate([[0], ends[:-1]]), ends)
    return contradicted(
        families,
        found.suspect,
        of_class[codes],
        min_rows=params.min_rows,
        min_excess=params.min_excess,
        max_false_alarm=params.max_false_alarm / FAMILIES,
    )


def _bursts(gold: GoldRows, *, params: PoisonParams) -> list[Group]:
    return volume_bursts(
        gold.sources,
        gold.codes,
        gold.days("received_at"),
        width=params.burst_days,
        min_rows=params.min_rows,
        min_class_share=params.min_class_share,
        max_false_alarm=params.max_false_alarm / FAMILIES,
    )


def _triggers(
    gold: GoldRows,
    found: Consistency,
    new: Sequence[tuple[int, Codes]],
    *,
    names: NDArray[Any],
    tested: int,
    params: PoisonParams,
) -> list[Group]:
    """Return new words of one class that are also of one source, or in texts of which other days predict other classes.

    Neither may follow by chance from the other rows of the source, or from how often the class is mistaken.
    """
    from scipy.stats import binom

    wrong = found.known & (found.predicted != gold.codes)
    limit = params.max_false_alarm / FAMILIES / max(tested, 1) / (len(gold.sources) + 1)
    groups: list[Group] = []
    for word, rows in sorted(new, key=lambda item: -len(item[1])):
        label, of_label = _most(gold.codes[rows])
        if of_label < params.min_purity * len(rows):
            continue
        rest = np.ones(len(gold.codes), dtype=bool)
        rest[rows] = False
        of_class = rest & (gold.codes == label) & found.known
        mistaken = float(wrong[of_class].mean()) if of_class.any() else 1.0
        chances = {"": float(binom.sf(int(wrong[rows].sum()) - 1, int(found.known[rows].sum()), mistaken))}
        for name, source in gold.sources.items():
            value, of_value = _most(source[rows])
            if value >= 0 and of_value >= params.min_purity * len(rows):
                chances[f", {name}"] = _chance_of_source(
                    rest, source == value, gold.codes == label, n=len(rows), of_label=of_label, of_value=of_value
                )
        if wrong[rows].sum() < max(mistaken + params.min_excess, 0.5) * len(rows):
            del chances[""]
        best = min(chances, key=lambda name: chances[name], default="")
        if chances and chances[best] <= limit:
            groups.append(Group(f"“{names[word]}”{best}", rows, -float(np.log10(max(chances[best], 1e-300)))))
    return apart(groups)


def _chance_of_source(rest: Mask, own: Mask, right: Mask, *, n: int, of_label: int, of_value: int) -> float:
    """Return the larger probability of so many rows of the class, and of the source, given all other rows."""
    from scipy.stats import binom

    share = float(right[rest].mean())
    of_own = float(((rest & own & right).sum() + PRIOR_ROWS * share) / ((rest & own).sum() + PRIOR_ROWS))
    by_class = binom.sf(of_label - 1, n, max(share, of_own))
    return max(float(by_class), float(binom.sf(of_value - 1, n, ((rest & own).sum() + 1) / (rest.sum() + 2))))


def _most(codes: Codes) -> tuple[int, int]:
    values, counts = np.unique(codes, return_counts=True)
    return int(values[counts.argmax()]), int(counts.max())


def _copies_check(gold: GoldRows, *, params: PoisonParams) -> Check:
    """Return the check that copies of one text carry one gold label."""
    k = len(gold.schema.labels)
    counts = np.bincount(gold.clusters * k + gold.codes, minlength=k * (gold.clusters.max(initial=-1) + 1))
    size, most = counts.reshape(-1, k).sum(axis=1), counts.reshape(-1, k).max(axis=1)
    copies, differing = int((size - 1).sum()), int((size - most).sum())
    mixed = np.flatnonzero(size > most)
    rows = np.flatnonzero(np.isin(gold.clusters, mixed))
    return Check.at_most(
        "conflicting_copies",
        differing / copies if copies else 0.0,
        limit=params.max_conflicting_copies,
        interval=wilson(differing, copies) if copies else (0.0, 0.0),
        rows=copies,
        min_rows=params.min_copies,
        required=False,
        undecided_passes_from=params.min_copies,
        sentence=f"{differing} of {copies} copies of a text have another gold label than most of its copies",
        details={"rows": _shown(gold, rows)},
    )


def _consistency_check(found: Consistency, *, gold: GoldRows, params: PoisonParams) -> Check:
    rows, n = int(found.known.sum()), int(found.suspect.sum())
    able = bool(found.skill >= MIN_SKILL)
    return Check.at_most(
        "inconsistent_labels",
        n / rows if rows else 0.0,
        limit=params.max_inconsistent,
        interval=wilson(n, rows) if rows else (0.0, 0.0),
        rows=rows if able else 0,
        min_rows=params.min_decided_rows,
        required=False,
        undecided_passes_from=params.min_decided_rows,
        sentence=f"{n} of {rows} gold labels are contradicted by what the texts of other days predict"
        + ("" if able else "; texts predict too few of the labels to decide on all of them"),
        details={"rows": _shown(gold, _by_lead(found, np.flatnonzero(found.suspect)), found=found)},
    )


def _group_check(
    name: str, groups: Sequence[Group], *, gold: GoldRows, found: Consistency, title: str, params: PoisonParams
) -> Check:
    described = "; ".join(_described(group, gold=gold) for group in groups[:SHOWN_GROUPS])
    rows = np.concatenate([group.rows for group in groups]) if groups else np.array([], dtype=np.int64)
    return Check.at_most(
        name,
        len(groups),
        limit=0,
        rows=len(gold.rows),
        min_rows=params.min_decided_rows,
        required=False,
        sentence=f"{len(groups)} {title}" + (f": {described}" if described else ""),
        details={"rows": _shown(gold, rows, found=found)},
    )


def _described(group: Group, *, gold: GoldRows) -> str:
    """Return a group in words: what it is, how many rows, of which class, source and days."""
    rows = gold.rows.iloc[group.rows]
    label = str(rows["gold"].mode().iloc[0])
    days = rows["received_at"].dt.strftime("%Y-%m-%d")
    name = group.what.split("“")[0].split(",")[0].split(" (")[0]
    value = f" {rows[name].iloc[0]}" if name in gold.sources else ""
    return f"{group.what}{value}: {len(rows)} rows, most of them {label}, {days.min()} to {days.max()}"


def _by_lead(found: Consistency, rows: Codes) -> Codes:
    """Return suspects in order of how far the likelier class leads."""
    return rows[np.argsort(-found.probabilities[rows, found.likelier[rows]], kind="stable")]


def _shown(gold: GoldRows, rows: Codes, *, found: Consistency | None = None) -> list[dict[str, Any]]:
    """Return rows as they are listed: id, day, entity, gold, the class that the texts predict, and the text."""
    listed = []
    for place in dict.fromkeys(rows[:SHOWN_ROWS].tolist()):
        row = gold.rows.iloc[place]
        predicted = -1 if found is None else int(found.predicted[place])
        listed.append(
            {
                "id": str(row["id"]),
                "day": row["received_at"].strftime("%Y-%m-%d"),
                "entity": None if pd.isna(row["entity"]) else str(row["entity"]),
                "gold": str(row["gold"]),
                "predicted": gold.schema.labels[predicted] if predicted >= 0 else None,
                "text": str(row["text"])[:SHOWN_CHARS],
            }
        )
    return listed


def _suspected(checks: Sequence[Check], found: Consistency, *, gold: GoldRows) -> list[dict[str, Any]]:
    """Return each listed row once, with the check that lists it first."""
    reasons: dict[str, dict[str, Any]] = {}
    for check in checks:
        for row in check.details["rows"]:
            reasons.setdefault(row["id"], {**row, "check": check.name})
    return list(reasons.values())
