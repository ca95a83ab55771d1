"""Counterfactual test: words that reveal a protected attribute are exchanged, and the answers that change are counted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipelines.gates.verdict import Check
from pipelines.records.schema import DomainSchema
from pipelines.stages.evaluate.behaviors import Classifier
from pipelines.stats.fairness import group_codes
from pipelines.stats.intervals import wilson

MAX_TEXTS = 150  # changed texts per attribute, evenly spread over the rows
BETWEEN = r"[\W_]+"


def exchange(text: str, *, away: Sequence[str], to: Sequence[str]) -> str:
    """Return a text in which the terms `away` are those of the other group, in order of strength, or are gone.

    A term of two words is found in any case and with any punctuation between its words.
    """
    pairs = {_key(term): to[place] if place < len(to) else "" for place, term in enumerate(away)}
    if not pairs:
        return text
    longest = sorted(away, key=lambda each: (-len(each), each))
    choices = "|".join(BETWEEN.join(re.escape(word) for word in term.split()) for term in longest)
    pattern = re.compile(rf"(?<![^\W\d_])(?:{choices})(?![^\W\d_])", re.IGNORECASE)
    return pattern.sub(lambda match: pairs.get(_key(match[0]), ""), text)


def _key(term: str) -> str:
    """Return the letters and digits of a term, by which it is found again however its words are separated."""
    return re.sub(r"[\W_]+", "", term).lower()


def count_changes(
    predictor: Classifier,
    rows: pd.DataFrame,
    answers: Sequence[str],
    probes: Mapping[str, Mapping[str, Any]],
    *,
    schema: DomainSchema,
) -> dict[str, dict[str, Any]]:
    """Return by attribute how many of the changed texts get another answer, by group, with 95 % intervals.

    `rows` are records (n,), `answers` their labels (n,), `probes` what bias_gate measured. Only attributes that the
    texts reveal, those whose lower bound is above 0.5, are tested.
    """
    found: dict[str, dict[str, Any]] = {}
    given = np.asarray(answers, dtype=object)
    for attribute in schema.protected:
        probe = probes.get(attribute.name, {})
        if probe.get("interval") is None or probe["interval"][0] <= 0.5:
            continue
        group = group_codes(rows[attribute.name])
        terms = {side: [term["term"] for term in probe["terms"] if term["side"] == side] for side in ("member", "rest")}
        given_texts = rows["text"].fillna("").astype(str).tolist()
        sides = {1: ("member", "rest"), 0: ("rest", "member")}
        changed = [
            exchange(text, away=terms[sides[code][0]], to=terms[sides[code][1]]) if code in sides else text
            for text, code in zip(given_texts, group.tolist(), strict=True)
        ]
        places = np.flatnonzero([one != other for one, other in zip(changed, given_texts, strict=True)])
        places = places[np.unique(np.linspace(0, len(places) - 1, min(MAX_TEXTS, len(places))).astype(np.int64))]
        if len(places):
            records = rows.iloc[places].reset_index(drop=True)
            records["text"] = pd.Series([changed[place] for place in places.tolist()], dtype="string")
            labels = np.asarray(predictor.labels, dtype=object)
            other = labels[predictor.predict_proba(records).argmax(axis=1)] != given[places]
        else:
            other = np.zeros(0, dtype=bool)
        found[attribute.name] = {"terms": terms, "all": _share(other)}
        found[attribute.name] |= {name: _share(other[group[places] == c]) for name, c in (("member", 1), ("rest", 0))}
    return found


def counterfactual_checks(
    found: Mapping[str, Mapping[str, Any]], *, limit: float | None, min_rows: int, schema: DomainSchema
) -> list[Check]:
    """Return one check per tested attribute where there is a limit; it closes on evidence of more changed answers."""
    if limit is None:
        return []
    checks = []
    for attribute in schema.protected:
        if attribute.name not in found:
            continue
        every = found[attribute.name]["all"]
        checks.append(
            Check.at_most(
                f"{attribute.name}_counterfactual",
                every["share"] if every["rows"] else 0.0,
                limit=limit,
                interval=every["interval"] or (0.0, 0.0),
                rows=every["rows"],
                min_rows=min_rows,
                required=False,
                undecided_passes_from=min_rows,
                sentence=f"{every['changed']} of {every['rows']} answers change when the words that tell "
                f"{attribute.member} from {attribute.rest} are exchanged",
                details={"attribute": attribute.name},
            )
        )
    return checks


def _share(other: np.ndarray) -> dict[str, Any]:
    changed, rows = int(other.sum()), len(other)
    return {
        "changed": changed,
        "rows": rows,
        "share": changed / rows if rows else None,
        "interval": list(wilson(changed, rows)) if rows else None,
    }
