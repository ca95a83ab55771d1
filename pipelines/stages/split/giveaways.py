"""Signs that give a class away: a word, a phrase of two words, or a feature's value that only its records have.

For each sign and class: precision, the share of the sign's records that are of the class, and recall, the share of the
class's records that have the sign. Ordinary words reach one of the two; a code word, a template or a copied answer
reaches both. A sign is a giveaway when the lower 95 % bounds of both are above their limits, so a sign without a true
relation to a class is one with a probability far below 1 in 1,000 whatever the number of signs: with the default
limits and 100 records of a class, 96 of them would have to have it by chance, and 97 of 100 with it be of the class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema
from pipelines.stages.split.params import LeakParams
from pipelines.stats.intervals import wilson
from pipelines.text.words import WordTable

SHOWN = 5


@dataclass(frozen=True)
class Sign:
    """One sign and the class it points to, with the records behind both shares."""

    name: str
    label: str
    both: int
    with_sign: int
    of_class: int
    precision_low: float
    recall_low: float

    def describe(self) -> str:
        """Return the sign in words."""
        return (
            f"{self.name} is in {self.both} of {self.of_class} records of {self.label} and in "
            f"{self.with_sign - self.both} of any other"
        )


def giveaway_check(gold_rows: pd.DataFrame, words: WordTable, *, schema: DomainSchema, leak: LeakParams) -> Check:
    """Return the check that no sign gives a class away; undecided with too few gold rows, which does not close."""
    found = sorted(
        (sign for sign in signs(gold_rows, words, schema=schema, leak=leak) if _is_giveaway(sign, leak)),
        key=lambda sign: (-min(sign.precision_low, sign.recall_low), sign.name),
    )
    named = "; ".join(sign.describe() for sign in found[:SHOWN])
    return Check.at_most(
        "giveaways",
        len(found),
        limit=0,
        rows=len(gold_rows),
        min_rows=leak.min_rows,
        required=False,
        sentence=f"{len(found)} words, phrases or values give a class away" + (f": {named}" if named else ""),
        details={"signs": [vars(sign) for sign in found[: 4 * SHOWN]]},
    )


def signs(gold_rows: pd.DataFrame, words: WordTable, *, schema: DomainSchema, leak: LeakParams) -> Iterator[Sign]:
    """Yield every sign of at least `min_sign_rows` records with each class of at least as many."""
    codes = pd.Categorical(gold_rows["gold"], categories=schema.labels).codes
    classes = np.eye(len(schema.labels), dtype=np.int64)[codes]
    sizes = classes.sum(axis=0)
    for names, present in _tables(gold_rows, words, schema=schema, least=leak.min_sign_rows):
        both = np.asarray(present.T @ classes)
        with_sign = np.asarray(present.sum(axis=0)).ravel()
        of_sign, of_class = (np.broadcast_to(rows, both.shape) for rows in (with_sign[:, None], sizes[None, :]))
        precision, recall = wilson(both, of_sign)[0], wilson(both, np.maximum(of_class, 1))[0]
        high = (np.minimum(precision, recall) > 0.5) & (sizes >= leak.min_sign_rows)[None, :]
        for row, label in zip(*np.nonzero(high), strict=True):
            yield Sign(
                str(names[row]),
                schema.labels[label],
                int(both[row, label]),
                int(with_sign[row]),
                int(sizes[label]),
                float(precision[row, label]),
                float(recall[row, label]),
            )


def _tables(
    gold_rows: pd.DataFrame, words: WordTable, *, schema: DomainSchema, least: int
) -> Iterator[tuple[Sequence[str], Any]]:
    """Yield names of signs and which record has which, (n, signs): of the text, then of each category."""
    from scipy.sparse import csr_array

    frequent = words.often(least)
    if len(frequent.names):
        yield [f"“{name}”" for name in frequent.names], frequent.present
    for feature in schema.features:
        if feature.kind == "category":
            values, names = pd.factorize(gold_rows[feature.name].astype("object"))
            known = np.flatnonzero(values >= 0)
            table = csr_array((np.ones(len(known), np.int64), (known, values[known])), shape=(len(values), len(names)))
            often = np.flatnonzero(table.sum(axis=0) >= least)
            if len(often):
                yield [f"{feature.name} = {name}" for name in np.asarray(names)[often]], table[:, often]


def _is_giveaway(sign: Sign, leak: LeakParams) -> bool:
    return sign.precision_low > leak.max_sign_precision and sign.recall_low > leak.max_sign_recall
