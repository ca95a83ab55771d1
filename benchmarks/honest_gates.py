"""How often do gates close, and canaries stop, when evidence is missing, long-tailed, leaking or revised?

`python -m benchmarks.honest_gates [--only NAME] [--fast] [--runs 100] [--seed 5000]` calls the functions that the stages call, on
simulated data (and on real columns with shuffled dates below PERENNIAL_REAL_DATA), and prints the seen rate of each
case next to the expected one. A rate is outside its bounds when its whole 99.9 % interval is; the exit code is then 1.
`--fast` has a tenth of the runs and does not write benchmarks/README.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.drift_null import simulate_tail
from benchmarks.out import write_figures, write_section
from benchmarks.texts import real_file
from pipelines.gates.verdict import Check
from pipelines.live.drift.concept import against_previous
from pipelines.live.serve.params import CanaryParams
from pipelines.live.serve.trial import compare_losses, pairs_of, selection_of
from pipelines.records.schema import DomainSchema, Feature, ProtectedAttribute
from pipelines.stages.evaluate.checks import fairness_checks
from pipelines.stages.evaluate.fairness import measure_fairness
from pipelines.stages.evaluate.params import FairnessParams
from pipelines.stages.evaluate.scores import Answers
from pipelines.stages.ingest.spool import Spool, record_types
from pipelines.stages.split.checks import leak_checks
from pipelines.stages.split.giveaways import giveaway_check
from pipelines.stages.split.leaks import feature_hits, pair_hits
from pipelines.stages.split.params import LeakParams, PoisonParams
from pipelines.stages.split.poison import GoldRows, poison_checks, with_copies
from pipelines.stats.fairness import Count, detectable_ratio, rate_ratio
from pipelines.stats.intervals import wilson
from pipelines.text.words import word_table

LABELS = ("refused", "granted", "returned")
SCHEMA = DomainSchema(
    name="grants",
    labels=LABELS,
    features=(Feature("office", kind="category"), Feature("desk", kind="category")),
    protected=(ProtectedAttribute("elder", member="elders", rest="others"),),
    no_protected_because=None,
    favorable_labels=("granted",),
    strata=("office",),
    gold_delay_days=14,
    required_columns=(),
    requires_text=True,
)
LIMITS = FairnessParams(min_disparate_impact=0.8, max_equal_opportunity=0.1, max_equalized_odds=0.1, min_group_rows=100)
LEAK = LeakParams(max_accuracy=0.9)
CONFIDENCE = 0.9  # two-sided, as evaluate uses it


@dataclass(frozen=True)
class Rate:
    """How often something happened, and between which bounds it is to be."""

    case: str
    what: str
    hits: int
    runs: int
    low: float = 0.0
    high: float = 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 99.9 % Wilson interval of the rate."""
        low, high = wilson(self.hits, self.runs, confidence=0.999)
        return float(low), float(high)

    @property
    def outside(self) -> bool:
        """Return whether the whole interval is outside the bounds."""
        low, high = self.interval
        return bool(high < self.low or low > self.high)


def rows_of(rng: np.random.Generator, n: int, *, members: float = 0.5) -> pd.DataFrame:
    """Return gold rows (n,) of which nothing predicts the class."""
    words = rng.integers(0, 4000, (n, 25))
    return pd.DataFrame(
        {
            "id": [f"r{at}" for at in range(n)],
            "text": [" ".join(f"w{word}" for word in row) for row in words],
            "entity": pd.Series([None] * n, dtype="object"),
            "gold": rng.choice(LABELS, n, p=[0.5, 0.3, 0.2]),
            "office": rng.choice(["north", "south"], n),
            "desk": rng.choice(list("abcdef"), n),
            "elder": pd.array((rng.random(n) < members).astype(int), dtype="Int8"),
        }
    )


def answers_of(rows: pd.DataFrame, predicted: np.ndarray) -> Answers:
    """Return answers that are certain of a class code per row."""
    gold = pd.Categorical(rows["gold"], categories=LABELS).codes.astype(np.int64)
    return Answers(LABELS, gold, np.eye(len(LABELS))[predicted])


def fairness(rows: pd.DataFrame, predicted: np.ndarray) -> list[Check]:
    """Return the fairness checks of evaluate."""
    tests = {"recent": (answers_of(rows, predicted), rows)}
    found = measure_fairness(tests, schema=SCHEMA, confidence=CONFIDENCE, limits=LIMITS)
    return fairness_checks(found, min_group_rows=LIMITS.min_group_rows)


def unknown_groups(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """No row's group is known, or the group has ten rows."""
    for case, kind in (("groups unknown in every row", "unknown"), ("ten rows of a group", "ten")):
        closed = passed = 0
        for _ in range(runs):
            rows = rows_of(rng, 600)
            codes = [None] * 600 if kind == "unknown" else [1] * 10 + [0] * 590
            rows["elder"] = pd.array(codes, dtype="Int8")
            checks = fairness(rows, rng.integers(0, 3, 600))
            closed += any(check.closes for check in checks)
            passed += any(check.outcome == "passed" for check in checks)
        yield Rate(case, "the gate closes", closed, runs, low=1)
        yield Rate(case, "a check passes", passed, runs, high=0)


def undefined_strata(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """No row of one stratum has the outcome; then no row of one group has it, whichever group it is."""
    closed = named = 0
    one_sided = [0, 0]
    for _ in range(runs):
        rows = rows_of(rng, 1200)
        predicted = np.where(rows["office"] == "north", 0, rng.choice(3, 1200))
        north = next(check for check in fairness(rows, predicted) if check.name.endswith("office=north"))
        closed += north.closes
        named += north.value is not None or "harm" in north.sentence
        for side in (0, 1):
            none = np.where((rows["elder"] == side).to_numpy(bool), 0, rng.choice(3, 1200))
            found = [check for check in fairness(rows, none) if "favorable_impact" in check.name]
            one_sided[side] += all(check.outcome == "failed" and check.value == 0 for check in found)
    yield Rate("an outcome that never occurs in a stratum", "its check closes", closed, runs, high=0)
    yield Rate("an outcome that never occurs in a stratum", "harm is named", named, runs, high=0)
    for side, count in zip(("members", "the rest"), one_sided[::-1], strict=True):
        yield Rate(f"an outcome that only {side} lack", "ratio 0, closes", count, runs, low=1)


def power(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """The detectable ratio that the gate reports is found in four of five draws, and equal groups hardly ever fail."""

    def closes(size: int, low: float, high: float) -> int:
        hits = rng.binomial(size, [low, high], (20 * runs, 2))
        pairs = (rate_ratio(Count(a, size), Count(b, size), confidence=CONFIDENCE) for a, b in hits)
        return sum(found.defined and found.interval[1] < LIMITS.min_disparate_impact for found in pairs)

    for size in (300, 1000, 3000):
        group = Count(0.3 * size, size)
        ratio = detectable_ratio(group, group, limit=LIMITS.min_disparate_impact, confidence=CONFIDENCE)
        if ratio is None:
            yield Rate(f"{size:,} rows per group", "a detectable ratio is reported", 0, 1, low=1)
            continue
        name = f"{size:,} rows per group, 30 % against {30 * ratio:.1f} % (detectable)"
        yield Rate(name, "the gate closes", closes(size, 0.3 * ratio, 0.3), 20 * runs, low=0.75, high=0.87)
        name = f"{size:,} rows per group, 30 % against 24 % (at the limit)"
        yield Rate(name, "the gate closes", closes(size, 0.24, 0.3), 20 * runs, high=0.06)
    yield Rate("300 rows per group, 30 % against 21 %", "the gate closes", closes(300, 0.21, 0.3), 20 * runs, high=0.3)


def tails(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Columns with many values whose weeks are exchangeable: Zipf, and real ones with shuffled dates."""
    tasks: list[dict[str, object]] = [
        {"values": n, "rows": rows} for n in (10, 1_000, 20_000, 100_000) for rows in (200, 1000, 5000)
    ]
    file = real_file("cfpb/complaints.csv.gz")
    if file is not None:
        tasks += [{"values": name, "rows": 200, "file": str(file)} for name in ("Company", "ZIP code", "State")]
    for task in tasks:
        n = max(2 * runs // (1 + int(str(task["rows"])) // 400), 5)
        found = simulate_tail({**task, "n_weeks": 26, "replicates": n, "seed": int(rng.integers(2**31))})
        values = task["values"]
        name = f"Zipf, {values:,} values" if isinstance(values, int) else f"real {values}, dates shuffled"
        name += f", {task['rows']:,} rows per week"
        yield Rate(name, "a week alerts", round(found["alert"] * 2 * n), 2 * n, high=1.5 / 27)
        yield Rate(name, "two weeks breach", round(found["breach"] * n), n, high=0.003)
        yield Rate(name, "a new value with 10 % of the rows alerts at once", round(found["caught"] * n), n, low=0.8)


def leaks(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """A sign in the text or in features that names the class, and none."""
    runs = max(runs // 5, 3)

    def closed(change: Callable[[pd.DataFrame], None]) -> int:
        count = 0
        for _ in range(runs):
            rows = rows_of(rng, 1200)
            change(rows)
            how = {"features": SCHEMA.features, "folds": LEAK.folds, "rows_per_bin": LEAK.rows_per_bin, "seed": 1}
            checks = leak_checks(rows, hits=feature_hits(rows, **how), pairs=pair_hits(rows, **how), leak=LEAK)
            words = word_table(rows["text"].tolist(), least=LEAK.min_sign_rows)
            count += any(check.closes for check in [*checks, giveaway_check(rows, words, schema=SCHEMA, leak=LEAK)])
        return count

    def add(rows: pd.DataFrame, what: str, label: str) -> None:
        rows["text"] = rows["text"].where(rows["gold"] != label, rows["text"] + " " + what)

    def rare(rows: pd.DataFrame) -> None:
        rows["gold"] = np.where(np.arange(len(rows)) < 60, "returned", rng.choice(LABELS[:2], len(rows)))
        add(rows, "form 77b", "returned")

    def value(rows: pd.DataFrame) -> None:
        rows["desk"] = rows["gold"] + " desk"

    def filled(rows: pd.DataFrame) -> None:
        rows["desk"] = rows["gold"].where(rng.random(len(rows)) < 0.67)

    def both(rows: pd.DataFrame) -> None:
        one, other = rng.integers(0, 3, (2, len(rows)))
        rows["gold"] = np.array(LABELS)[(one + other) % 3]
        rows["office"], rows["desk"] = one.astype(str), other.astype(str)

    changes: dict[str, Callable[[pd.DataFrame], None]] = {
        "a code word in every text of a class": lambda rows: add(rows, "zx81", "refused"),
        "a phrase of two ordinary words": lambda rows: add(rows, "kindly noted", "granted"),
        "a code word of a class with 60 rows": rare,
        "a value that names the class": value,
        "a feature that is right wherever it has a value (67 %)": filled,
        "two features that name the class together": both,
    }
    for name, change in changes.items():
        yield Rate(name, "split closes", closed(change), runs, low=1)
    yield Rate("no leak", "split closes", closed(lambda rows: None), runs, high=0.01)


def stream_of(rng: np.random.Generator, n: int = 1600) -> pd.DataFrame:
    """Return gold rows (n,) of half a year whose texts mostly tell the class; 5 % of the labels are random."""
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    texts = [
        " ".join(
            [f"{LABELS[code]}{word}" for word in rng.integers(0, 60, 6)] + [f"w{w}" for w in rng.integers(0, 300, 10)]
        )
        for code in truth
    ]
    gold = np.where(rng.random(n) < 0.05, rng.integers(0, 3, n), truth)
    received = pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 180, n)), unit="D")
    rows = rows_of(rng, n).assign(text=texts, gold=np.array(LABELS)[gold], received_at=received, gold_at=received)
    rows["entity"] = [f"writer{who}" for who in rng.integers(0, n // 2, n)]
    return rows.astype(dict.fromkeys(("id", "text", "entity", "gold", "office", "desk"), "string"))


def poison(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Gold labels that someone planted, and none."""
    runs, params = max(runs // 5, 3), PoisonParams()

    def closed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> int:
        count = 0
        for _ in range(runs):
            rows = with_copies(change(stream_of(rng)), pd.DataFrame({"id": [], "kept_id": []}, dtype="string"))
            words = word_table(rows["text"].tolist(), least=params.min_rows)
            checks, _ = poison_checks(GoldRows(rows, words, SCHEMA), params=params, seed=1)
            count += any(check.closes for check in checks)
        return count

    def relabeled(rows: pd.DataFrame) -> pd.DataFrame:
        own = np.flatnonzero(rows["gold"] == "returned")
        chosen = rows.index[rng.choice(own, round(0.03 * (rows["gold"] == "refused").sum()), replace=False)]
        days = pd.Timestamp("2025-03-10", tz="UTC") + pd.to_timedelta(rng.integers(0, 2, len(chosen)), unit="D")
        rows.loc[chosen, ["gold", "entity"]] = ["refused", "one writer"]
        rows.loc[chosen, "received_at"] = days.as_unit(rows["received_at"].dt.unit)
        return rows

    def triggered(rows: pd.DataFrame) -> pd.DataFrame:
        n = round(0.02 * len(rows))
        words = rows.loc[rows["gold"] == "refused", "text"].iloc[0].split()
        planted = rows.sample(n, random_state=int(rng.integers(2**31))).assign(
            id=[f"planted{at}" for at in range(n)],
            text=[" ".join([*rng.permutation(words), "zqx"]) for _ in range(n)],
            gold="granted",
            entity="one writer",
            received_at=pd.Timestamp("2025-04-01", tz="UTC"),
        )
        return pd.concat([rows, planted.astype(rows.dtypes.to_dict())], ignore_index=True)

    case = "3 % of a class relabeled within two days by one writer"
    yield Rate(case, "split closes", closed(relabeled), runs, low=0.8)
    case = "2 % near-identical texts with a trigger word and a wrong label"
    yield Rate(case, "split closes", closed(triggered), runs, low=0.95)
    yield Rate("nothing planted", "split closes", closed(lambda rows: rows), runs, high=0.01)


def corrections(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Gold labels that are corrected by a later row, in the order of the source or of a version column."""
    for case, by_version in (("corrected by a later row", False), ("corrected by a version column", True)):
        newest = counted = 0
        for _ in range(max(runs // 5, 3)):
            rows = rows_of(rng, 200).assign(received_at=pd.Timestamp("2025-03-03", tz="UTC"))
            gold_at = pd.Series(pd.Timestamp("2025-03-17", tz="UTC"), index=rows.index)
            rows = rows.assign(gold_at=gold_at)
            fixed = rows.iloc[:40].assign(gold="returned", gold_at=gold_at.iloc[:40] + pd.Timedelta(days=7))
            fixed = fixed[rows["gold"].iloc[:40] != "returned"]
            states, versions = [rows, fixed], [1, 2]
            if by_version:
                states, versions = states[::-1], versions[::-1]
            with tempfile.TemporaryDirectory() as folder:
                spool = Spool(Path(folder), record_types(SCHEMA), date(2025, 6, 2))
                for number, (state, version) in enumerate(zip(states, versions, strict=True)):
                    place = np.arange(len(state))
                    order = np.full(len(state), version if by_version else 0)
                    origin = pd.DataFrame({"file": f"{number}.csv", "row": place, "place": place, "version": order})
                    spool.add(state.reset_index(drop=True), origin=origin, withheld=origin.head(0).assign(id=[]))
                lost = spool.drop_older()
                kept = pd.concat([table.to_pandas() for table in spool.weeks()]).set_index("id")
            right = (kept.loc[fixed["id"], "gold"] == "returned").all() and len(kept) == len(rows)
            newest += bool(right and (kept.loc[fixed["id"], "gold_at"] > gold_at.iloc[0]).all())
            counted += lost["kind"].tolist() == ["revised"] * len(fixed)
        yield Rate(case, "the newest state and its time are kept", newest, max(runs // 5, 3), low=1)
        yield Rate(case, "revisions are counted apart", counted, max(runs // 5, 3), low=1)


def canary(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """A challenger and a former champion on the same records, all of them labeled."""
    params = CanaryParams(share=0.07, pairs_wanted=1000, max_error_share=0.02, max_slowdown=3.0, days=90)

    def records(worse: float, n: int) -> pd.DataFrame:
        sure = rng.uniform(0.6, 0.98, (n, 2))
        right_old, chance = rng.random(n) < 0.85, rng.random(n)
        right_new = np.where(chance < 0.1 + worse, rng.random(n) < 0.85 - worse, right_old)
        right_new &= ~((chance > 1 - worse) & right_old)
        return pd.DataFrame(
            {"confidence_old": sure[:, 0], "confidence_new": sure[:, 1], "right_old": right_old, "right_new": right_new}
        )

    runs = 4 * runs
    for worse, what, low, high in ((0.0, "equal", 0.0, params.alpha), (0.1, "10 points worse", 0.9, 1.0)):
        stopped = sum(
            compare_losses(records(worse, params.pairs_wanted), params=params).state == "stopped" for _ in range(runs)
        )
        yield Rate(f"canary of a challenger that is {what}", "it is stopped", stopped, runs, low=low, high=high)
    for worse, what, low, high in ((0.0, "equal", 0.0, 0.025), (0.05, "5 points worse", 0.8, 1.0)):
        back = 0
        for _ in range(runs):
            found = records(worse, 1000)
            sides = [
                pd.DataFrame({"record_id": range(1000), "right": found[f"right_{side}"].astype(bool)})
                for side in ("new", "old")
            ]
            back += against_previous(sides[0], sides[1], confidence=0.95, min_rows=100)["outcome"] == "worse"
        yield Rate(f"champion against the one before: {what}", "a rollback is advised", back, runs, low=low, high=high)


def answered_records(rng: np.random.Generator, n: int, *, better: float, wrong: float, right: float) -> pd.DataFrame:
    """Return records (n,) that two versions answered, of which the second is right more often by `better`.

    A record has a label with probability `wrong` or `right`, after whether the first version's answer is wrong or right.
    """
    truth, hit = rng.integers(0, 3, n), rng.random(n) < 0.8
    chance, share = rng.random(n), abs(better) / (0.2 if better > 0 else 0.8)
    hit_new = np.where(hit, (better > 0) | (chance >= share), (better > 0) & (chance < share))
    names, days = np.array(LABELS), pd.to_timedelta(np.sort(rng.integers(0, 60, n)), unit="D")
    received = pd.Timestamp("2025-03-03", tz="UTC") + days
    found = pd.DataFrame({"record_id": [f"r{at}" for at in range(n)], "received_at": received, "label": names[truth]})
    for side, is_right in (("old", hit), ("new", hit_new)):
        found[f"label_{side}"] = names[np.where(is_right, truth, (truth + 1) % 3)]
        found[f"confidence_{side}"] = np.where(is_right, rng.uniform(0.6, 0.98, n), rng.uniform(0.4, 0.9, n))
        found[f"served_{side}"] = side == "old"
    labeled = rng.random(n) < np.where(hit, right, wrong)
    found["sampled_at"] = (found["received_at"] + pd.Timedelta(days=5)).where(labeled)
    return found.assign(complete=False, label=found["label"].where(labeled))


def selective_labels(rng: np.random.Generator, runs: int) -> Iterator[Rate]:
    """Labels that are 25 times likelier for wrong answers, stated as a random audit; and a true random audit."""
    params = CanaryParams(share=0.07, pairs_wanted=1000, max_error_share=0.02, max_slowdown=3.0, days=90)
    for case, wrong, right in (("labels 25 times likelier for wrong answers", 0.75, 0.03), ("random audit", 0.2, 0.2)):
        honest = wrong == right
        promoted = stopped = back = dependent = 0
        for _ in range(runs):
            worse = answered_records(rng, 6000, better=-0.1, wrong=wrong, right=right)
            depends = selection_of(worse)["depends"]
            state = compare_losses(pairs_of(worse), params=params).state
            promoted += not depends and state == "completed"
            stopped += not depends and state == "stopped"
            dependent += depends
            # The champion is two points better than the version before it, and its answers decide what is labeled.
            other = answered_records(rng, 6000, better=-0.02, wrong=wrong, right=right)
            known, pairs = other[other["sampled_at"].notna()], []
            for side in ("old", "new"):
                is_right = (known[f"label_{side}"] == known["label"]).astype(bool)
                pairs.append(pd.DataFrame({"record_id": known["record_id"], "right": is_right}))
            outcome = against_previous(pairs[0], pairs[1], confidence=0.95, min_rows=100)["outcome"]
            back += not selection_of(other)["depends"] and outcome == "worse"
        yield Rate(case, "a challenger 10 points worse is promoted", promoted, runs, high=0)
        yield Rate(case, "a champion 2 points better is rolled back", back, runs, high=0.025 if honest else 0)
        bounds = {"high": 0.01} if honest else {"low": 1.0}
        yield Rate(case, "labels are found to depend on the answers", dependent, runs, **bounds)
        if honest:
            yield Rate(case, "a challenger 10 points worse is stopped", stopped, runs, low=0.9)


PARTS: dict[str, Callable[[np.random.Generator, int], Iterator[Rate]]] = {
    "unknown_groups": unknown_groups,
    "undefined_strata": undefined_strata,
    "power": power,
    "tails": tails,
    "leaks": leaks,
    "poison": poison,
    "corrections": corrections,
    "canary": canary,
    "selective_labels": selective_labels,
}


def table(rates: list[Rate]) -> str:
    """Return the rates as a Markdown table."""
    lines = ["| case | what | expected | seen | 99.9 % interval | runs |", "|---|---|---|---|---|---|"]
    for item in rates:
        bounds = (
            f"at most {item.high:.1%}" if item.low == 0 else f"at least {item.low:.1%}" if item.high == 1
            else f"{item.low:.1%} to {item.high:.1%}"
        )  # fmt: skip
        low, high = item.interval
        seen = f"**{item.hits / item.runs:.1%}**" + (" (outside)" if item.outside else "")
        lines.append(f"| {item.case} | {item.what} | {bounds} | {seen} | {low:.1%} to {high:.1%} | {item.runs:,} |")
    return "\n".join(lines)


def simulate(names: list[str], *, runs: int, seed: int) -> list[Rate]:
    """Return the rates of some parts; each part has a stream of random numbers of its own."""
    numbers = {name: seed + place for place, name in enumerate(PARTS)}
    return [rate for name in names for rate in PARTS[name](np.random.default_rng(numbers[name]), runs)]


def main() -> int:
    """Print the table, write it to benchmarks/README.md unless only a part was simulated, and return the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=list(PARTS))
    arguments.add_argument("--fast", action="store_true")
    arguments.add_argument("--runs", type=int, default=100, help="scale of the numbers of runs")
    arguments.add_argument("--seed", type=int, default=5_000)
    options = arguments.parse_args()
    names = [options.only] if options.only else list(PARTS)
    rates = simulate(names, runs=10 if options.fast else options.runs, seed=options.seed)
    text = table(rates)
    print(text)
    outside = [item for item in rates if item.outside]
    print(f"{len(rates)} rates, {len(outside)} outside their bounds")
    if not options.only and not options.fast:
        write_figures(
            "honest_gates", [{**vars(item), "hits": int(item.hits), "outside": item.outside} for item in rates]
        )
        command = f"`python -m benchmarks.honest_gates --runs {options.runs}`"
        title = f"## Gates and alarms without evidence, with long tails and leaks ({command})"
        note = "Simulated with the functions that the stages call. The command fails when a rate is outside its bounds."
        write_section("honest_gates", f"{title}\n\n{note}\n\n{text}")
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
