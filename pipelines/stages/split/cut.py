"""The two steps of split: give every record its part, then check the result from its records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipelines.gates.conservation import check_conservation
from pipelines.gates.verdict import Verdict
from pipelines.records.records import PARTS, as_canonical
from pipelines.records.schema import DomainSchema
from pipelines.runtime.errors import InputError
from pipelines.stages.split import checks, leaks
from pipelines.stages.split.giveaways import giveaway_check
from pipelines.stages.split.params import SplitParams
from pipelines.stages.split.parts import Parted, cut_anchor, restore_anchor, separate
from pipelines.stages.split.poison import GoldRows, poison_checks, with_copies
from pipelines.stages.split.timeline import draw_timeline
from pipelines.text.shingles import fingerprint
from pipelines.text.words import word_table


def split_records(
    records: pd.DataFrame,
    *,
    copies: pd.DataFrame,
    anchor: pd.DataFrame | None,
    schema: DomainSchema,
    params: SplitParams,
    seed: int,
    threads: int,
) -> Parted:
    """Give every record its part; the anchor set is the champion's frozen one, or cut from the oldest gold rows
    without one.
    """
    timeline = draw_timeline(
        records,
        gold_delay_days=schema.gold_delay_days,
        embargo_days=params.embargo_days,
        recent_share=params.recent_share,
        validation_share=params.validation_share,
        complete_gold_share=params.complete_gold_share,
    )
    came_in = records["id"]
    if anchor is not None:
        came_in = pd.concat([came_in, anchor.loc[~anchor["id"].isin(came_in), "id"]])
        records = restore_anchor(records, anchor=_checked(anchor, schema=schema))
    records = as_canonical(records, schema=schema).sort_values(["received_at", "id"], kind="stable", ignore_index=True)
    place = timeline.place(records)
    drawn = (
        anchor["id"]
        if anchor is not None
        else cut_anchor(
            records,
            place=place,
            oldest_share=params.anchor.oldest_share,
            drawn_share=params.anchor.drawn_share,
            seed=seed,
        )
    )
    place[records["id"].isin(drawn)] = "anchor"
    fingerprints = fingerprint(records["text"].tolist(), near=params.near_duplicates, seed=seed, threads=threads)
    place = separate(
        records,
        place=place,
        frozen=anchor is not None,
        fingerprints=fingerprints,
        near=params.near_duplicates,
        copies=copies,
    )
    return Parted(
        came_in=came_in, records=records, place=place, timeline=timeline, frozen=anchor is not None, copies=copies
    )


def check_split(
    parted: Parted,
    *,
    schema: DomainSchema,
    params: SplitParams,
    seed: int,
    threads: int,
    overrides: Sequence[dict[str, Any]] = (),
) -> Verdict:
    """Return the verdict on the records that split writes, measured from them alone."""
    output = parted.output
    fingerprints = fingerprint(output["text"].tolist(), near=params.near_duplicates, seed=seed, threads=threads)
    gold_rows = output[output["gold"].notna()]
    labeled = with_copies(gold_rows, parted.copies)
    least = min(params.poison.min_rows, params.leak.min_sign_rows)
    words = word_table(labeled["text"].fillna("").astype(str).tolist(), least=least)
    poison, suspected = poison_checks(GoldRows(labeled, words, schema), params=params.poison, seed=seed)
    how: dict[str, Any] = {"folds": params.leak.folds, "rows_per_bin": params.leak.rows_per_bin, "seed": seed}
    found = [
        check_conservation(parted.came_in, {"in a part": output["id"], "left out": parted.left_out}),
        *checks.crossing_checks(
            ids=leaks.ids_across(output),
            texts=leaks.texts_across(output, fingerprints=fingerprints, near=params.near_duplicates),
            entities=leaks.entities_across(output),
            rows=len(output),
        ),
        checks.embargo_check(output, timeline=parted.timeline),
        *checks.size_checks(
            output,
            min_part_rows=params.min_part_rows,
            min_class_rows=params.min_class_rows,
            labels=schema.labels,
            left_out=Counter(parted.place[~parted.place.isin(PARTS)]),
        ),
        *checks.leak_checks(
            gold_rows,
            hits=leaks.feature_hits(gold_rows, features=schema.features, **how),
            pairs=leaks.pair_hits(gold_rows, features=schema.features, **how),
            leak=params.leak,
        ),
        giveaway_check(gold_rows, words.rows(slice(len(gold_rows))), schema=schema, leak=params.leak),
        *poison,
    ]
    return Verdict.of("split", found, shown_records=suspected, overrides=overrides)


def _checked(anchor: pd.DataFrame, *, schema: DomainSchema) -> pd.DataFrame:
    """Return the frozen anchor rows; InputError if their gold labels are not this domain's."""
    unknown = sorted(set(anchor["gold"].dropna().astype(str)) - set(schema.labels))
    if unknown or anchor["gold"].isna().any():
        raise InputError(
            f"data/champion/anchor.parquet holds gold label {unknown[0] if unknown else None!r}, which domain "
            f"{schema.name!r} does not have: the pinned champion belongs to another problem; set release.model_name "
            "of this domain and pin again"
        )
    return anchor
