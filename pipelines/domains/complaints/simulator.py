"""A stream of raw complaints with known duplicates, known bias, known drift dates and faults on demand.

Every row has its own random generator, seeded by (seed, day, place in the day). A day's bytes depend on nothing else,
and a copy can have a source on any earlier day.
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

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import StageParams

from .simulator_text import GRAMMAR, SENTENCES, Group, Speaker, compose, copy_of, jaccard

COLUMNS = (
    *("Date received", "Product", "Sub-product", "Issue", "Sub-issue", "Consumer complaint narrative"),
    *("Company public response", "Company", "State", "ZIP code", "Tags", "Consumer consent provided?"),
    *("Submitted via", "Date sent to company", "Company response to consumer", "Timely response?"),
    *("Consumer disputed?", "Complaint ID"),
)
NARRATIVE = "Consumer complaint narrative"
WEEKDAYS = (1.05, 1.15, 1.15, 1.15, 1.1, 0.8, 0.6)  # Monday first: fewer people complain on a Sunday
STATES = {"FL": 26, "CA": 24, "TX": 20, "GA": 16, "NY": 12, "IL": 9, "NC": 8, "PA": 7, "NJ": 6, "VA": 6, "OH": 5, "AZ": 4}  # fmt: skip
CHANNELS = {"Web": 84, "Referral": 6, "Phone": 5, "Postal mail": 3, "Fax": 2}
# A near copy keeps a Jaccard of 0.8 or more, a loose one does not.
COPIES = {"exact": 0.34, "near": 0.48, "loose": 0.18}
LONGEST_LAG = 42  # days between a text and its copy
GROUPS: tuple[Group, ...] = ("older_american", "servicemember")
TAGS = {"older_american": "Older American", "servicemember": "Servicemember"}


COMPANIES: dict[str, list[str]] = GRAMMAR["companies"]
NEW_COMPANIES: list[str] = GRAMMAR["new_companies"]
PRODUCT_NAMES: dict[str, list[str]] = GRAMMAR["product_names"]  # name, sub-product, issue
# Concept drift: people use other words, so complaints about one product sound like those about another.
SOUNDS_LIKE = dict(zip(SENTENCES, [*list(SENTENCES)[1:], next(iter(SENTENCES))], strict=True))


class Fault(StageParams):
    """An upstream fault on the days from..to (half-open)."""

    kind: Literal["stale_day", "shrunken", "null_column", "unit_change", "covariate", "concept"]
    start: date = Field(alias="from")
    end: date = Field(alias="to")
    column: str | None = None  # null_column: its name
    factor: float | None = None  # share of rows, strength of the shift, or factor of sums of money


class Drift(StageParams):
    """Strength of the drift from the drift date on."""

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
        """Require a share for every product, and no other key."""
        if set(shares) != set(SENTENCES) or min(shares.values()) < 0 or sum(shares.values()) <= 0:
            raise ValueError(f"expected a share of 0 or more for each of: {', '.join(SENTENCES)}")
        return shares


@dataclass(frozen=True)
class Complaint:
    """The values of one row before they become cells."""

    product: str
    text: str
    tags: tuple[Group, ...]
    company: str
    state: str
    channel: str


def stream(*, start: date, end: date, seed: int, **parameters: Any) -> Iterator[pd.DataFrame]:
    """Yield one frame of raw rows per day of start..end (half-open), with the 18 headers of the export."""
    world = World(seed=seed, params=_checked(parameters))
    for offset in range((end - start).days):
        yield world.day(start + timedelta(days=offset))


def duplicate_pairs(*, start: date, end: date, seed: int, **parameters: Any) -> pd.DataFrame:
    """Return copies whose source is in the window too, both with text: `id`, `source_id`, `kind`, `jaccard` of 5-grams."""
    params = _checked(parameters)
    world = World(seed=seed, params=params)
    rows = []
    for offset in range((end - start).days):
        day = start + timedelta(days=offset)
        for place in range(world.volume(day)):
            if copied := world.source_of(day, place):
                kind, source_day, source_place = copied
                if source_day >= start and world.has_text(day, place) and world.has_text(source_day, source_place):
                    similarity = jaccard(
                        world.complaint(day, place).text, world.complaint(source_day, source_place).text
                    )
                    rows.append((world.name(day, place), world.name(source_day, source_place), kind, similarity))
    return pd.DataFrame(rows, columns=["id", "source_id", "kind", "jaccard"])


class World:
    """A simulated history, whose days can be generated in any order."""

    def __init__(self, *, seed: int, params: SimulatorParams) -> None:
        self.seed, self.params = seed, params
        self.prefix = 100 + int(hashlib.sha256(str(seed).encode()).hexdigest(), 16) % 900

    def day(self, day: date) -> pd.DataFrame:
        """Return the raw rows of a day, with its faults."""
        rows = [self._cells(day, place) for place in range(self.volume(day))]
        frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")
        for fault in self._faults(day):
            frame = _broken(frame, fault, Random(f"{self.seed}|{day.toordinal()}|{fault.kind}"))
        return frame.reset_index(drop=True)

    def volume(self, day: date) -> int:
        """Return the number of rows of a day before faults."""
        mean = self.params.rows_per_day * WEEKDAYS[day.weekday()]
        return max(round(self._rng(day, "volume").gauss(mean, mean**0.5)), 0)

    def name(self, day: date, place: int) -> str:
        """Return the Complaint ID of a row."""
        return f"{self.prefix}{day.toordinal()}{place:04d}"

    def source_of(self, day: date, place: int) -> tuple[str, date, int] | None:
        """Return kind of copy, day and place of its source, or None; sources are never copies themselves."""
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
        """Return the complaint of a row: a copy or an original."""
        if copied := self.source_of(day, place):
            kind, source_day, source_place = copied
            source = self.original(source_day, source_place)
            text = copy_of(source.text, kind, self._rng(day, f"{place}|edit"))
            return Complaint(source.product, text, source.tags, source.company, source.state, source.channel)
        return self.original(day, place)

    def original(self, day: date, place: int) -> Complaint:
        """Return a complaint that is not a copy."""
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
        if rng.random() < params.label_noise:  # people choose the wrong product
            product = rng.choices(list(params.class_shares), list(params.class_shares.values()))[0]
        company = rng.choice(COMPANIES[product if rng.random() < 0.72 else rng.choice(list(COMPANIES))])
        if rng.random() < 0.4 * moved:
            company = rng.choice(NEW_COMPANIES)
        state = rng.choices(list(STATES), list(STATES.values()))[0]
        channel = rng.choices(list(CHANNELS), list(CHANNELS.values()))[0]
        return Complaint(product, text, tags, company, state, channel)

    def has_text(self, day: date, place: int) -> bool:
        """Return whether this row has its narrative: the first draw of its cells."""
        return self._rng(day, f"{place}|cells").random() >= self.params.no_narrative_share

    def _cells(self, day: date, place: int) -> tuple[str | None, ...]:
        row, rng = self.complaint(day, place), self._rng(day, f"{place}|cells")
        name, sub_product, issue = PRODUCT_NAMES[row.product]
        without_text = rng.random() < self.params.no_narrative_share
        tags = ", ".join(TAGS[tag] for tag in row.tags) or None
        zip_code = f"{10000 + int(rng.random() * 89999)}"
        sent = date.fromordinal(min(day.toordinal() + int(rng.random() * 4), date.max.toordinal()))
        consent = "Consent not provided" if without_text else "Consent provided"
        answer = rng.choices(
            ["Closed with explanation", "Closed with non-monetary relief", "Closed with monetary relief"], [8, 1, 1]
        )[0]
        return (
            *(day.isoformat(), name, sub_product, issue, None, None if without_text else row.text, None),
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
    """Return the product shares of a writer; that protected groups complain about other products is not a harm."""
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


def _broken(frame: pd.DataFrame, fault: Fault, rng: Random) -> pd.DataFrame:
    """Return a day's rows as the broken source delivers them."""
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
    """Return a narrative with its sums of money in another unit."""
    if not isinstance(text, str):
        return None
    return re.sub(r"\{\$([0-9.]+)\}", lambda found: f"{{${float(found[1]) * factor:.2f}}}", text)


def _checked(parameters: dict[str, Any]) -> SimulatorParams:
    """Return the parameters as a model; ParamsError names the invalid one and what is accepted."""
    try:
        params = SimulatorParams.model_validate(parameters)
    except ValidationError as error:
        item = error.errors()[0]
        parameter = ".".join(["simulator", *(str(part) for part in item["loc"])])
        raise ParamsError(f"<domain>/params.yaml is wrong:\n  {parameter} = {item['input']!r}: {item['msg']}") from None
    for fault in params.faults:
        if fault.kind == "null_column" and fault.column not in COLUMNS:
            raise ParamsError(
                f"invalid simulator.faults: column = {fault.column!r}: expected one of {', '.join(COLUMNS)}"
            )
    return params
