"""A stream of raw complaints with known duplicates, known bias, known drift dates and faults on demand.

Every row has a generator of its own, seeded by (seed, day, place in the day), so that a day's bytes depend on nothing
else and a copy can name a source on any earlier day.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from random import Random
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError, field_validator

from pipelines.core.errors import ParamsError
from pipelines.core.params import StageParams

from .composing import Speaker, compose, misspell
from .grammar import COMPANIES, NEW_COMPANIES, PRODUCT_NAMES, SENTENCES, Group

COLUMNS = (
    *("Date received", "Product", "Sub-product", "Issue", "Sub-issue", "Consumer complaint narrative"),
    *("Company public response", "Company", "State", "ZIP code", "Tags", "Consumer consent provided?"),
    *("Submitted via", "Date sent to company", "Company response to consumer", "Timely response?"),
    *("Consumer disputed?", "Complaint ID"),
)
NARRATIVE = "Consumer complaint narrative"
WEEKDAYS = (1.05, 1.15, 1.15, 1.15, 1.1, 0.8, 0.6)  # Monday first: fewer people complain on a Sunday
STATES = {
    "FL": 26,
    "CA": 24,
    "TX": 20,
    "GA": 16,
    "NY": 12,
    "IL": 9,
    "NC": 8,
    "PA": 7,
    "NJ": 6,
    "VA": 6,
    "OH": 5,
    "AZ": 4,
}
CHANNELS = {"Web": 84, "Referral": 6, "Phone": 5, "Postal mail": 3, "Fax": 2}
COPIES = {
    "exact": 0.34,
    "near": 0.48,
    "loose": 0.18,
}  # a near copy keeps a Jaccard of 0.8 or more, a loose one does not
LONGEST_LAG = 42  # days between a text and its copy
# Concept drift: what people call what has changed, so complaints about one product sound like those about another.
SOUNDS_LIKE = dict(zip(SENTENCES, [*list(SENTENCES)[1:], next(iter(SENTENCES))], strict=True))
GROUPS: tuple[Group, ...] = ("older_american", "servicemember")
TAGS = {"older_american": "Older American", "servicemember": "Servicemember"}


class Fault(StageParams):
    """Something that goes wrong upstream on the days from..to (half-open)."""

    kind: Literal["stale_day", "shrunken", "null_column", "unit_change", "covariate", "concept"]
    start: date = Field(alias="from")
    end: date = Field(alias="to")
    column: str | None = None  # null_column: which one
    factor: float | None = None  # share of rows, strength of the shift, or what sums of money are multiplied by


class Drift(StageParams):
    """How far the world moves at the drift date."""

    covariate: float = Field(ge=0, le=1)  # strength: products, companies, vocabulary and lengths
    concept: float = Field(ge=0, le=1)  # share of complaints that are worded like another product's


class SimulatorParams(StageParams):
    """<domain>/params.yaml: simulator."""

    rows_per_day: float = Field(gt=0)
    class_shares: dict[str, float]
    older_american_share: float = Field(ge=0, le=1)
    servicemember_share: float = Field(ge=0, le=1)
    group_wording: float = Field(ge=0, le=1)
    label_noise: float = Field(ge=0, le=1)
    typo_share: float = Field(ge=0, le=1)
    duplicate_share: float = Field(ge=0, lt=1)
    no_narrative_share: float = Field(ge=0, le=1)
    drift_date: date | None
    drift: Drift
    faults: tuple[Fault, ...]

    @field_validator("class_shares")
    @classmethod
    def known_products(cls, shares: dict[str, float]) -> dict[str, float]:
        """Every product has a share and nothing else has."""
        if set(shares) != set(SENTENCES) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise ValueError(f"a share of 0 or more is wanted for each of: {', '.join(SENTENCES)}")
        return shares


@dataclass(frozen=True)
class Complaint:
    """What is drawn for one row before it becomes cells."""

    product: str
    text: str
    tags: tuple[Group, ...]
    company: str
    state: str
    channel: str


def stream(*, start: date, end: date, seed: int, **knobs: Any) -> Iterator[pd.DataFrame]:
    """Raw rows of the days start..end (half-open), one frame a day, under the 18 headers of the export."""
    world = World(seed=seed, params=_checked(knobs))
    for offset in range((end - start).days):
        yield world.day(start + timedelta(days=offset))


def duplicate_pairs(*, start: date, end: date, seed: int, **knobs: Any) -> pd.DataFrame:
    """Copies in the window whose source is in it too, both told: `id`, `source_id`, `kind`, `jaccard` of 5-grams."""
    params = _checked(knobs)
    world = World(seed=seed, params=params)
    rows = []
    for offset in range((end - start).days):
        day = start + timedelta(days=offset)
        for place in range(world.volume(day)):
            if copied := world.source_of(day, place):
                kind, source_day, source_place = copied
                if source_day >= start and world.tells(day, place) and world.tells(source_day, source_place):
                    similarity = jaccard(
                        world.complaint(day, place).text, world.complaint(source_day, source_place).text
                    )
                    rows.append((world.name(day, place), world.name(source_day, source_place), kind, similarity))
    return pd.DataFrame(rows, columns=["id", "source_id", "kind", "jaccard"])


def jaccard(one: str, other: str, *, size: int = 5) -> float:
    """Jaccard similarity of the word n-grams of two texts, lower-cased, a run of masked words taken as one."""
    first, second = _shingles(one, size), _shingles(other, size)
    return len(first & second) / max(len(first | second), 1)


class World:
    """A simulated history: any day of it can be asked for, in any order."""

    def __init__(self, *, seed: int, params: SimulatorParams) -> None:
        self.seed, self.params = seed, params
        self.prefix = 100 + int(hashlib.sha256(str(seed).encode()).hexdigest(), 16) % 900

    def day(self, day: date) -> pd.DataFrame:
        """The raw rows of a day, faults included."""
        rows = [self._cells(day, place) for place in range(self.volume(day))]
        frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
        for fault in self._faults(day):
            frame = _broken(frame, fault, Random(f"{self.seed}|{day.toordinal()}|{fault.kind}"))
        return frame.reset_index(drop=True)

    def volume(self, day: date) -> int:
        """How many rows a day has before faults."""
        mean = self.params.rows_per_day * WEEKDAYS[day.weekday()]
        return max(round(self._rng(day, "volume").gauss(mean, mean**0.5)), 0)

    def name(self, day: date, place: int) -> str:
        """Complaint ID of a row."""
        return f"{self.prefix}{day.toordinal()}{place:04d}"

    def source_of(self, day: date, place: int) -> tuple[str, date, int] | None:
        """Kind of copy, day and place of the source when the row is a copy; sources are never copies themselves."""
        rng = self._rng(day, f"{place}|copy")
        if rng.random() >= self.params.duplicate_share:
            return None
        kind = rng.choices(list(COPIES), list(COPIES.values()))[0]
        lag = min(1 + int(rng.expovariate(1 / 6)), LONGEST_LAG)
        if day.toordinal() - lag < 1:
            return None
        source_day = day - timedelta(days=lag)
        volume = self.volume(source_day)
        for _ in range(8):
            candidate = int(rng.random() * volume)
            if volume and self._rng(source_day, f"{candidate}|copy").random() >= self.params.duplicate_share:
                return kind, source_day, candidate
        return None

    def complaint(self, day: date, place: int) -> Complaint:
        """Who complains about what in which words."""
        if copied := self.source_of(day, place):
            kind, source_day, source_place = copied
            source = self.original(source_day, source_place)
            text = _copy(source.text, kind, self._rng(day, f"{place}|edit"))
            return Complaint(source.product, text, source.tags, source.company, source.state, source.channel)
        return self.original(day, place)

    def original(self, day: date, place: int) -> Complaint:
        """A complaint that nobody wrote before."""
        params, rng = self.params, self._rng(day, str(place))
        moved, misnamed = self._strength(day, "covariate"), self._strength(day, "concept")
        tags = tuple(
            group
            for group, share in zip(GROUPS, (params.older_american_share, params.servicemember_share), strict=True)
            if rng.random() < share
        )
        shares = _shares(tuple(params.class_shares.items()), tags, moved)
        product = rng.choices(list(shares), list(shares.values()))[0]
        worded_as = SOUNDS_LIKE[product] if rng.random() < misnamed else product
        group: Group = tags[int(rng.random() * len(tags))] if tags else "rest"
        speaker = Speaker(worded_as, group, day.year, params.group_wording, moved, params.typo_share)
        text = compose(speaker, rng)
        if rng.random() < params.label_noise:  # people tick the wrong box
            product = rng.choices(list(params.class_shares), list(params.class_shares.values()))[0]
        company = rng.choice(COMPANIES[product if rng.random() < 0.72 else rng.choice(list(COMPANIES))])
        if rng.random() < 0.4 * moved:
            company = rng.choice(NEW_COMPANIES)
        state = rng.choices(list(STATES), list(STATES.values()))[0]
        channel = rng.choices(list(CHANNELS), list(CHANNELS.values()))[0]
        return Complaint(product, text, tags, company, state, channel)

    def tells(self, day: date, place: int) -> bool:
        """Whether this row comes with its narrative: the first draw of its cells."""
        return self._rng(day, f"{place}|cells").random() >= self.params.no_narrative_share

    def _cells(self, day: date, place: int) -> tuple[str | None, ...]:
        row, rng = self.complaint(day, place), self._rng(day, f"{place}|cells")
        name, sub_product, issue = PRODUCT_NAMES[row.product]
        untold = rng.random() < self.params.no_narrative_share
        tags = ", ".join(TAGS[tag] for tag in row.tags) or None
        zip_code = f"{10000 + int(rng.random() * 89999)}"
        sent = date.fromordinal(min(day.toordinal() + int(rng.random() * 4), date.max.toordinal()))
        consent = "Consent not provided" if untold else "Consent provided"
        answer = rng.choices(
            ["Closed with explanation", "Closed with non-monetary relief", "Closed with monetary relief"], [8, 1, 1]
        )[0]
        return (
            *(day.isoformat(), name, sub_product, issue, None, None if untold else row.text, None),
            *(row.company, row.state, zip_code, tags, consent, row.channel, sent.isoformat(), answer),
            *("Yes" if rng.random() < 0.99 else "No", None, self.name(day, place)),
        )

    def _strength(self, day: date, kind: Literal["covariate", "concept"]) -> float:
        drifted = self.params.drift_date is not None and day >= self.params.drift_date
        strengths = [getattr(self.params.drift, kind) if drifted else 0.0]
        strengths += [
            1.0 if fault.factor is None else fault.factor for fault in self._faults(day) if fault.kind == kind
        ]
        return min(max(strengths), 1.0)

    def _faults(self, day: date) -> list[Fault]:
        return [fault for fault in self.params.faults if fault.start <= day < fault.end]

    def _rng(self, day: date, what: str) -> Random:
        return Random(f"{self.seed}|{day.toordinal()}|{what}")


@lru_cache(maxsize=4096)
def _shares(shares: tuple[tuple[str, float], ...], tags: tuple[Group, ...], moved: float) -> dict[str, float]:
    """Product shares of a writer: protected groups complain about other products, which is no harm."""
    weights = dict(shares)
    for tag in tags:
        likes = (
            ("card", "bank_account", "money_transfer")
            if tag == "older_american"
            else ("mortgage", "payday_personal_loan")
        )
        weights |= {product: weights[product] * 1.6 for product in likes}
    weights["money_transfer"] *= 1 + 4 * moved
    weights["bank_account"] *= 1 + 2 * moved
    weights["credit_reporting"] *= 1 - 0.5 * moved
    return weights


def _copy(text: str, kind: str, rng: Random) -> str:
    """A text sent again: as it was, with a few words changed (Jaccard of 5-grams >= 0.8), or with many."""
    words = text.split(" ")
    shingles = max(len(words) - 4, 1)
    if kind == "exact" or len(words) < 14:
        return text
    if kind == "near":  # one word changed in the middle costs 5 of n shingles twice: (n - 5k) / (n + 5k) >= 0.8
        edits = rng.randint(1, max(int(shingles / 52), 1)) if shingles >= 52 else 0
        spots = rng.sample(range(5, len(words) - 5), edits) if edits else [len(words) - 1]
    else:
        spots = rng.sample(range(len(words)), max(len(words) // 18, 2))
    for spot in spots:
        words[spot] = rng.choice(
            (
                f"XX/XX/{1990 + rng.randint(0, 60)}",
                "XXXX",
                f"{{${rng.randint(10, 9999)}.00}}",
                misspell(words[spot] + "ing", rng),
            )
        )
    return " ".join(words)


def _broken(frame: pd.DataFrame, fault: Fault, rng: Random) -> pd.DataFrame:
    """A day's rows as the broken feed delivers them."""
    if fault.kind == "stale_day":
        return frame.iloc[:0]
    if fault.kind == "shrunken":
        keep = 0.1 if fault.factor is None else fault.factor
        return frame[[rng.random() < keep for _ in range(len(frame))]]
    if fault.kind == "null_column":
        share = 1.0 if fault.factor is None else fault.factor
        hit = pd.Series([rng.random() < share for _ in range(len(frame))], index=frame.index, dtype=bool)
        return frame.assign(**{str(fault.column): frame[fault.column].mask(hit)})
    if fault.kind == "unit_change":
        factor = 100.0 if fault.factor is None else fault.factor
        return frame.assign(**{NARRATIVE: [_rescaled(text, factor) for text in frame[NARRATIVE]]})
    return frame


def _rescaled(text: Any, factor: float) -> Any:
    """A narrative whose sums of money stand in another unit."""
    if not isinstance(text, str):
        return None
    return re.sub(r"\{\$([0-9.]+)\}", lambda found: f"{{${float(found[1]) * factor:.2f}}}", text)


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = re.sub(r"[\W_]+", " ", text.lower()).split()
    words = [word for word, before in zip(words, ["", *words], strict=False) if not (_masked(word) and _masked(before))]
    return {tuple(words[at : at + size]) for at in range(max(len(words) - size + 1, 1))}


def _masked(word: str) -> bool:
    return len(word) > 1 and not word.strip("x")


def _checked(knobs: dict[str, Any]) -> SimulatorParams:
    """Knobs as a model; ParamsError names the one that is wrong and what would be right."""
    try:
        params = SimulatorParams.model_validate(knobs)
    except ValidationError as error:
        item = error.errors()[0]
        knob = ".".join(["simulator", *(str(part) for part in item["loc"])])
        raise ParamsError(f"<domain>/params.yaml is wrong:\n  {knob} = {item['input']!r}: {item['msg']}") from None
    for fault in params.faults:
        if fault.kind == "null_column" and fault.column not in COLUMNS:
            raise ParamsError(
                f"simulator.faults: column = {fault.column!r}; one of these would be right: {', '.join(COLUMNS)}"
            )
    return params
