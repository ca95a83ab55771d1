"""A stream of raw complaints with known duplicates, known bias, known drift dates and faults on demand.

Every row has its own random generator, seeded by (seed, day, place in the day). A day's bytes depend on nothing else,
and a copy can have a source on any earlier day.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from random import Random
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError, field_validator

from pipelines.records.phrases import misspell, parse, pick, render, weighted, with_typos
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import StageParams

Group = Literal["rest", "older_american", "servicemember"]

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
GROUPS: tuple[Group, ...] = ("older_american", "servicemember")
TAGS = {"older_american": "Older American", "servicemember": "Servicemember"}
TOPIC_SHARE, OTHER_SHARE = 0.32, 0.15  # sentences about the product, and about the other one where there is one
HAS_OTHER, EVENLY_SPLIT = 0.55, 0.28  # texts that speak of another product; of these, in equal parts
REDACTED_TERM = 0.12  # key terms that were X-ed out with a name
MEDIAN_WORDS, SPREAD, SHORTEST, LONGEST = 125, 0.8, 9, 900  # log-normal, fitted to 2,062 published narratives


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
class Speaker:
    """The writer of a text, its subject, and the state of drift on that day."""

    product: str
    group: Group
    year: int
    group_wording: float
    moved: float
    typos: float


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


def jaccard(one: str, other: str, *, size: int = 5) -> float:
    """Return the Jaccard similarity of the word n-grams of two texts: lower case, a run of masked words counts as one."""
    first, second = _shingles(one, size), _shingles(other, size)
    return len(first & second) / max(len(first | second), 1)


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
            text = _copy(source.text, kind, self._rng(day, f"{place}|edit"))
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


def compose(speaker: Speaker, rng: Random) -> str:
    """Return the text of one complaint."""
    words = math.exp(rng.gauss(math.log(MEDIAN_WORDS * (1 + 0.6 * speaker.moved)), SPREAD))
    target = min(max(words, SHORTEST), LONGEST)
    other = weighted(ALSO_ABOUT[speaker.product], rng=rng) if rng.random() < HAS_OTHER else None
    evenly = other is not None and rng.random() < EVENLY_SPLIT
    letter = rng.random() < LETTER_PRODUCTS.get(speaker.product, 0.0)
    pools = _Pools(speaker, rng)
    sentences = [pools.draw(speaker.product)]
    length = _n_words(sentences[0])
    while length < target:
        sentence = pools.draw(_subject(speaker, other, evenly=evenly, letter=letter, rng=rng))
        sentences.append(sentence)
        length += _n_words(sentence)
    rng.shuffle(sentences)
    if length > 25 and rng.random() < 0.6:
        sentences.insert(0, pools.draw("opening"))
    if length > 25 and rng.random() < 0.6:
        sentences.append(pools.draw("closing"))
    return with_typos(" ".join(sentences), share=speaker.typos, rng=rng)


class _Pools:
    """Sentences not yet used in this text, by subject; an empty pool is filled again."""

    def __init__(self, speaker: Speaker, rng: Random) -> None:
        self.speaker, self.rng = speaker, rng
        self.left: dict[str, list[str]] = {}

    def draw(self, subject: str) -> str:
        pool = self.left.get(subject)
        if not pool:
            pool = self.left[subject] = list(_pool(subject, self.speaker.moved))
            self.rng.shuffle(pool)
        text = _rendered(pool.pop(), self.speaker, self.rng).strip()
        return text[0].upper() + text[1:]


def _rendered(sentence: str, speaker: Speaker, rng: Random) -> str:
    return render(parse(sentence), fill=lambda name: _fill(name, speaker, rng), rng=rng)


def _fill(name: str, speaker: Speaker, rng: Random) -> str:
    if name in KEY_TERMS:
        if rng.random() < REDACTED_TERM:
            return "XXXX XXXX"
        other_wording = speaker.group != "rest" and rng.random() < speaker.group_wording
        return pick(KEY_TERMS[name][speaker.group if other_wording else "rest"], rng=rng)
    if name in PHRASES:
        return _rendered(pick(PHRASES[name], rng=rng), speaker, rng)
    if name == "money":
        return f"{{${_rounded(math.exp(rng.gauss(6.0, 1.4))):.2f}}}"
    if name == "date":
        return pick((f"XX/XX/{speaker.year}", "XX/XX/XXXX", "XXXX XXXX", f"XXXX/XXXX/{speaker.year}"), rng=rng)
    if name == "count":
        return str(2 + int(rng.random() * 58))
    if name == "digits":
        return str(10_000 + int(rng.random() * 90_000))
    raise ValueError(f"grammar: no slot {name!r}")


def _rounded(amount: float) -> float:
    """Round to two leading digits, like the published sums."""
    scale = 10 ** max(math.floor(math.log10(max(amount, 1.0))) - 1, 0)
    return round(amount / scale) * scale


def _subject(speaker: Speaker, other: str | None, *, evenly: bool, letter: bool, rng: Random) -> str:
    dice = rng.random()
    topic = TOPIC_SHARE
    if other is not None:
        share = TOPIC_SHARE if evenly else OTHER_SHARE
        if dice < share:
            return other
        dice -= share
    if dice < topic:
        return speaker.product
    if letter and rng.random() < 0.6:
        return "letter"
    return "new" if rng.random() < 0.6 * speaker.moved else "generic"


@cache
def _pool(subject: str, moved: float) -> tuple[str, ...]:
    fixed = {"opening": OPENINGS, "closing": CLOSINGS, "letter": LETTER, "generic": GENERIC, "new": NEW_GENERIC}
    if subject in fixed:
        return fixed[subject]
    return SENTENCES[subject] + (NEW_SENTENCES.get(subject, ()) * 3 if moved > 0 else ())


def _n_words(text: str) -> int:
    return text.count(" ") + 1


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


def _copy(text: str, kind: str, rng: Random) -> str:
    """Return a text sent again: unchanged, with a few words changed (Jaccard of 5-grams >= 0.8), or with many."""
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
                misspell(words[spot] + "ing", rng=rng),
            )
        )
    return " ".join(words)


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


def _shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = re.sub(r"[\W_]+", " ", text.lower()).split()
    words = [word for word, before in zip(words, ["", *words], strict=False) if not (_masked(word) and _masked(before))]
    return {tuple(words[at : at + size]) for at in range(max(len(words) - size + 1, 1))}


def _masked(word: str) -> bool:
    return len(word) > 1 and not word.strip("x")


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


# ---------------------------------------------------------------------------------------------------------------------
# The grammar: sentences of complaints by product, and the wording of each group. `[a|b]` is a choice; `{name}` is a
# phrase, a key term or a value that `_fill` generates (date, money, digits, count). All texts are invented; lengths and
# shares are fitted to the published data. The grammar is in this file because ingest depends on this file only.
# ---------------------------------------------------------------------------------------------------------------------

# Terms that identify the product, as most people write them and as older Americans and servicemembers often do.
KEY_TERMS: dict[str, dict[Group, tuple[str, ...]]] = {
    "report": {
        "rest": ("credit report", "credit report", "credit file", "consumer report", "credit score"),
        "older_american": ("credit standing", "credit rating record", "credit history papers"),
        "servicemember": ("clearance credit check", "security clearance credit", "clearance credit history"),
    },
    "bureau": {
        "rest": ("Equifax", "Experian", "TransUnion", "the credit bureau", "the credit reporting agency"),
        "older_american": ("the credit rating people", "the credit rating office"),
        "servicemember": ("the clearance credit office", "the agency behind my clearance credit"),
    },
    "collector": {
        "rest": ("debt collector", "collection agency", "debt collection company", "collections department"),
        "older_american": ("bill collector", "dunning company", "bill collecting outfit"),
        "servicemember": ("debt office that called my command", "debt company that wrote to my commander"),
    },
    "mortgage": {
        "rest": ("mortgage", "mortgage loan", "mortgage", "home mortgage"),
        "older_american": ("house note", "reverse loan on the house", "house note"),
        "servicemember": ("VA loan", "VA home loan", "VA refinance"),
    },
    "card": {
        "rest": ("credit card", "credit card", "rewards card", "prepaid card"),
        "older_american": ("charge card", "charge plate", "store charge card"),
        "servicemember": ("Star card", "exchange card", "military star card"),
    },
    "account": {
        "rest": ("checking account", "savings account", "bank account", "debit card account"),
        "older_american": ("passbook account", "passbook savings", "certificate of deposit"),
        "servicemember": ("allotment deposit account", "military pay account", "direct deposit of my military pay"),
    },
    "school": {
        "rest": ("student loan", "student loans", "federal student loan", "private student loan"),
        "older_american": (
            "loan for my grandson's college",
            "parent loan for college",
            "loan for my granddaughter's college",
        ),
        "servicemember": (
            "education loan from before I enlisted",
            "education loan",
            "tuition loan from before I enlisted",
        ),
    },
    "vehicle": {
        "rest": ("car loan", "auto loan", "vehicle loan", "vehicle lease", "car payment"),
        "older_american": ("automobile note", "note on my automobile", "automobile financing"),
        "servicemember": ("truck note", "truck financed outside the base", "truck financing"),
    },
    "transfer": {
        "rest": ("Zelle transfer", "wire transfer", "money transfer", "PayPal transfer", "Cash App payment"),
        "older_american": ("money order", "telegraphed money", "money sent at the counter"),
        "servicemember": ("remittance home", "money sent home from overseas", "remittance from overseas"),
    },
    "payday": {
        "rest": ("payday loan", "payday loan", "personal loan", "title loan", "installment loan"),
        "older_american": ("signature loan", "small loan store", "signature loan"),
        "servicemember": ("loan shop outside the gate", "military loan shop", "loan shop by the base"),
    },
}

PHRASES: dict[str, tuple[str, ...]] = {
    "called": ("called", "phoned", "contacted", "wrote to", "reached out to", "spoke with", "emailed", "visited"),
    "agent": (
        *("a representative", "a supervisor", "the manager", "customer service", "the lady on the phone", "an agent"),
        *("somebody in the fraud department", "the branch", "their office", "a man named XXXX", "the call center"),
    ),
    "company": ("the company", "this company", "they", "XXXX XXXX", "their people", "the business"),
    "often": ("twice", "three times", "several times", "many times", "{count} times", "every week", "over and over"),
    "since": ("since {date}", "for {count} months now", "for weeks", "for over a year", "ever since", "since XXXX"),
    "promised": ("promised", "assured me", "told me", "said", "claimed", "stated", "swore"),
    "refuse": ("refuse to", "will not", "do not want to", "failed to", "have yet to", "still did not", "never"),
    "fix": ("fix this", "correct it", "resolve the matter", "answer me", "look into it", "make it right", "help"),
    "upset": ("frustrated", "upset", "tired", "worried", "shocked", "angry", "at my wits end", "confused", "ashamed"),
    "harm": (
        *("I was turned down for an apartment", "I lost sleep over this", "I could not pay my rent"),
        *("my family suffers from it", "I had to borrow from a friend", "I nearly lost a job offer"),
        *("I had to cancel a trip", "it made me ill", "I could not buy groceries", "my bills went unpaid"),
    ),
    "paper": ("a letter", "an email", "a notice", "a statement", "a text message", "a bill", "a form", "a voicemail"),
    "proof": ("receipts", "the statements", "a police report", "the contract", "copies of everything", "screenshots"),
    "shop": (
        "the grocery",
        "an online store",
        "a gas station",
        "the pharmacy",
        "a hotel",
        "a contractor",
        "an airline",
    ),
}

OPENINGS = (
    "[I am writing|I write|I am filing this complaint] [about|because of|regarding] [a problem|an issue|something] with {company}.",
    "[On|Around|About] {date} I {called} {agent} [about this|and asked for help|to complain|with a question].",
    "[Hello|To whom it may concern|Good day|Dear Sir or Madam], [my name is XXXX XXXX|I need your help|please read this].",
    "I have been [a customer|a client|with {company}] {since} and [never had trouble before|always paid on time].",
    "This is [my second complaint|the {count}th time I complain|a follow-up to case {digits}].",
    "[It all started|The trouble began|This goes back to] {date} [when I moved|after I changed jobs|out of nowhere].",
    "[Please help me|I need assistance|I do not know where else to turn]: {company} {refuse} {fix}.",
)

CLOSINGS = (
    "[I want|I would like|I demand|I ask for] [a refund of {money}|an apology|a written answer|this to end|a fair solution].",
    "[Please|Kindly] [look into this|help me|investigate|make them answer] [as soon as possible|before {date}|quickly].",
    "I have {proof} and can [send|provide|upload] [them|everything] [on request|at any time|if needed].",
    "[Thank you|Thanks|I appreciate your help] [for your time|in advance|very much], XXXX XXXX.",
    "If [nothing happens|this goes on|they keep silent] I will [hire a lawyer|go to the attorney general|tell the press].",
    "[I am|We are] {upset} and [just want this to be over|see no way out|expect better from {company}].",
)

GENERIC = (
    "I {called} {agent} {often} and [nobody|no one|not one person] [could|wanted to|was able to] [help|explain this|tell me why].",
    "{agent} {promised} that [it would take {count} days|someone would call back|everything was fine|it was a system error].",
    "On {date} I received {paper} [that made no sense|with the wrong amount|dated {date}|asking for {money}].",
    "[I was|They kept me] on hold for {count} minutes and [then the line went dead|was transferred {often}|got no answer].",
    "I [sent|mailed|faxed|uploaded] {proof} on {date}, [but they say nothing arrived|and heard nothing back|with tracking {digits}].",
    "[Now|Today|As of {date}] they [want|ask for|say I owe|show] {money} [more|instead of {money}|without any reason|again].",
    "Because of this {harm}.",
    "[I am|I feel] {upset} because {company} {refuse} {fix}.",
    "They {refuse} {fix} {since}.",
    "My [husband|wife|daughter|son|mother|neighbor|lawyer] [tried too|also {called} them|can confirm this|was there].",
    "[The fee|A charge|An interest payment|The balance] of {money} [appeared|was added|showed up|doubled] on {date}.",
    "[I never agreed|Nobody asked me|I did not consent] to [this|any of it|these terms|such a fee|the new conditions].",
    "The [reference|case|ticket|confirmation] number is {digits}.",
    "[Every time|Whenever|Each time] I [call|write|ask], [they say something else|the story changes|I start from zero].",
    "I [paid|sent|offered] {money} on {date} [and have the confirmation|which they accepted|but it was not applied].",
    "[This is|I call that] [unfair|deceptive|against the law|bad business|harassment|a shame|simply wrong].",
    "[Their website|The app|Their system|The portal] [was down|shows an error|locked me out|says something else] {since}.",
    "{agent} was [rude|polite but useless|very short with me|in a hurry|reading from a script] and [hung up|gave no name].",
    "[I asked|I begged|We asked] for [a copy of the agreement|an itemized statement|a supervisor|a payment plan] {often}.",
    "[Someone|A stranger|A thief] [used my name|had my information|got hold of my papers] [in XXXX|on {date}|without my knowledge].",
    "After {count} [weeks|months|calls|letters] I [gave up|got {paper}|was told to wait|learned that nothing was done].",
    "[It took|They needed] {count} [weeks|days] to [answer|reply], and the [answer|reply] was [one line|a form letter|no].",
)

# Sentences that appear only after the drift date (covariate drift).
NEW_GENERIC = (
    "The chatbot [kept repeating itself|did not understand me|closed the chat|invented an answer] {often}.",
    "[Their new app|The artificial intelligence assistant|A virtual assistant] [denied my request|froze my profile] on {date}.",
    "I was [deepfaked|cloned by voice|phished by a QR code] and the passkey [stopped working|was reset] {often}.",
    "[The biometric login|Face recognition|The passkey] [rejects me|locked me out|failed] {since}.",
    "Since the [merger|platform migration|rebranding] {company} [lost my data|shows two profiles|charges a digital fee of {money}].",
)

SENTENCES: dict[str, tuple[str, ...]] = {
    "credit_reporting": (
        "There [is|are] [an error|{count} accounts|inquiries|a late payment] on my {report} that [is|are] not mine.",
        "{bureau} [verified|kept|reinserted|ignored] the [item|tradeline|inquiry|account] [after my dispute|without proof].",
        "I disputed the [inaccurate|fraudulent|outdated|duplicate] [tradeline|information|inquiry] with {bureau} on {date}.",
        "My {report} [dropped {count} points|shows a wrong address|lists a bankruptcy that was dismissed|is mixed with another person].",
        "[Under the Fair Credit Reporting Act|Under 15 USC 1681|By federal law] {bureau} must [delete|block|reinvestigate] it within {count} days.",
        "A hard inquiry by XXXX [was made|appeared] on {date} [without my authorization|though I never applied].",
        "I am a victim of identity theft and {bureau} [will not block|refuses to remove] the [fraudulent accounts|inquiries].",
        "The [furnisher|reporting agency] [updates|reports] the [tradeline|account] as [charged off|late|open|unpaid], which is inaccurate.",
        "The dispute result for my {report} said [verified as accurate|no change|deleted then returned] [in {count} days|on {date}].",
        "The freeze that I placed with {bureau} was [lifted|ignored|lost] and [inquiries|unknown addresses] appeared.",
        "[My name is misspelled|An old address is shown|A stranger's employer is listed] on my {report}.",
        "I asked {bureau} for the method of verification and [got a form letter|they sent nothing|was called frivolous].",
    ),
    "debt_collection": (
        "A {collector} [calls|texts|writes] me {often} about [a debt that is not mine|an old bill of {money}|a medical bill].",
        "The {collector} {refuse} [validate the debt|send proof of the debt|stop calling my work|say who the original creditor is].",
        "I [asked for|demanded] validation of the debt [on {date}|in writing|by certified mail] and [got nothing|the calls went on].",
        "They [threatened|want] to [sue me|garnish my wages|send the sheriff|arrest me] over {money} that I do not owe.",
        "The debt was [paid|settled|discharged|past the statute of limitations] [in XXXX|on {date}|years ago], yet the {collector} wants {money}.",
        "[Under the FDCPA|Under the Fair Debt Collection Practices Act] the {collector} may not [call my relatives|lie|call at night].",
        "The original creditor [sold|assigned|placed] the [debt|balance] with a {collector} [without notice|for {money}].",
        "This {collector} [left a voicemail|sent a summons|bought the debt|added fees] and {refuse} [give its address|validate].",
        "The hospital bill of {money} was [covered by insurance|paid in full] before it went to the {collector}.",
        "An old [apartment|cable|phone|gym] bill [was turned over to|ended up with|is chased by] a {collector}.",
        "They call [my neighbors|my employer|my mother] about the [alleged debt|debt in question], which is harassment.",
        "I sent a cease and desist letter, and the {collector} [ignored it|called the next day|laughed].",
    ),
    "mortgage": (
        "My {mortgage} [servicer|company|lender] [raised the escrow|lost my payment|misapplied {money}|changed without notice].",
        "The escrow [analysis|shortage|account] [is wrong|shows {money}|doubled], and the {mortgage} payment went up.",
        "I applied for a [modification|forbearance|refinance] of my {mortgage} and [was denied|they lost the papers {often}].",
        "They [started foreclosure|posted a sale date|sent foreclosure papers] although the {mortgage} is [current|paid|in review].",
        "The servicer [did not pay|paid late] the [property taxes|homeowners insurance] on the house.",
        "The [appraisal|closing date|rate lock|title search] was [delayed|changed|wrong] and the {mortgage} lender blames me.",
        "Our {mortgage} was [sold|transferred] to a new servicer, which [has no record|claims we are {count} months behind].",
        "They forced [hazard|flood] insurance on the property [for {money}|though ours was active].",
        "[Private mortgage insurance|PMI] should be removed from the {mortgage}, yet [they want an appraisal|they stall].",
        "The payoff [quote|statement] for the {mortgage} was [wrong by {money}|never sent|expired].",
        "We closed on the house [on {date}|in XXXX] and the [principal|interest rate|deed|lien release] is [wrong|missing].",
        "The home is [at risk|listed for auction|under water] because the {mortgage} company {refuse} {fix}.",
    ),
    "card": (
        "A charge of {money} on my {card} [from {shop}|that I did not make|was disputed] was [not reversed|charged back and returned].",
        "The issuer of my {card} [raised the rate|cut the limit|closed it|added a late fee] [without notice|on {date}].",
        "I disputed the purchase at {shop} and the {card} company [sided with the merchant|closed the dispute|lost my {proof}].",
        "The [bonus|cash back|balance transfer offer|zero percent promotion] of the {card} was [not honored|denied|changed].",
        "My application for the {card} was [denied|pending|approved and then cancelled] [for no reason|on {date}].",
        "The annual fee of {money} on the {card} [was charged twice|should have been waived|was never disclosed].",
        "The merchant [never delivered|sent the wrong item|went out of business], so I asked for a chargeback on the {card}.",
        "They charge [interest|a cash advance fee|a foreign fee] on my {card} although I pay the [statement balance|full balance].",
        "The minimum payment on the {card} [jumped|was not posted|was returned], and the [APR|rate] is now {count} percent.",
        "The new {card} [never arrived|was stolen from the mail|does not work at {shop}] and [was used|was declined].",
        "My autopay for the {card} [was switched off|failed|took {money} twice] and I got a late fee.",
        "[The points|My miles|The rewards] [expired|vanished|were taken] when the {card} was [closed|replaced].",
    ),
    "bank_account": (
        "The bank [closed|froze|restricted|locked] my {account} [without notice|on {date}|with {money} in it].",
        "I was charged [overdraft fees|{count} overdraft fees|an NSF fee|a maintenance fee] on my {account}.",
        "A [deposit|check|direct deposit] of {money} to my {account} is [on hold|missing|returned] {since}.",
        "[Withdrawals|Debits|ATM withdrawals] that I did not make [emptied|drained|hit] my {account} [on {date}|overnight].",
        "The branch [would not let me withdraw|asked for more ID|refused to cash my check] [at the teller window|at the ATM].",
        "The bonus for opening a new {account} of {money} was [never paid|denied|taken back].",
        "Somebody [opened|closed] [a|the] {account} [in my name|at the branch in XXXX] [without me|on {date}].",
        "The overdraft [protection|coverage] on my {account} was [on|switched on] though I [opted out|never asked for it].",
        "My claim about the [unauthorized debits|withdrawals] was denied and the provisional credit of {money} [reversed|taken back].",
        "The teller [miscounted my cash|lost my check|posted the deposit to a stranger], and the bank {refuse} {fix}.",
        "The interest on my {account} [is not what was advertised|was never paid|fell to nothing].",
        "They hold my paycheck, and my {account} [shows a negative balance|is overdrawn by {money}|cannot be opened online].",
    ),
    "student_loan": (
        "My {school} servicer [lost my paperwork|miscounted my payments|put me in forbearance|changed again].",
        "I applied for [income-driven repayment|forgiveness|deferment|consolidation] of the {school} and [was denied|nothing happened].",
        "[Public service loan forgiveness|The forgiveness program|The borrower defense claim] for my {school} was [denied|ignored] {since}.",
        "The school [closed|lied about jobs|never gave me the degree], and I still owe {money} on the {school}.",
        "The {school} servicer [applies payments to interest only|reports wrong balances|adds capitalized interest of {money}].",
        "I [graduated|dropped out|left college] in XXXX and the {school} [doubled|went to default|was moved to another servicer].",
        "As a cosigner of the {school} I [was never told|want the release|get calls].",
        "The repayment plan for the {school} [was recalculated|expired|went up to {money}] [without notice|on {date}].",
        "The university [certified|reported] my enrollment [late|wrong], so the {school} left deferment.",
        "They put the {school} in forbearance [instead of|without telling me about] income based repayment.",
        "The Department of Education [says|wrote] that the {school} [qualifies|was discharged], yet the servicer {refuse} {fix}.",
        "My tuition was [refunded|paid], but the {school} disbursement of {money} [stayed|was lost].",
    ),
    "vehicle_or_consumer_loan": (
        "The dealer [added a warranty|changed the contract|forged my income] on the {vehicle}.",
        "My {vehicle} was [refinanced|paid off|assigned], and the lender [will not send the title|lost the title|wants {money}].",
        "They repossessed the [car|truck|vehicle] [although I paid|at night|with my things inside], and the {vehicle} is [gone|charged off].",
        "The [mileage|wear and tear|disposition] fee of {money} at the end of the {vehicle} is [wrong|not in the contract].",
        "The [lender|finance company] of my {vehicle} [added late fees|changed the due date|took {money} twice].",
        "The car was [totaled|stolen|a lemon], the gap insurance [paid {money}|never paid], and the {vehicle} goes on.",
        "The [dealership|dealer] [ran my credit {often}|took my trade-in|kept my down payment of {money}] for the {vehicle}.",
        "I asked for the payoff of the {vehicle} and [got three amounts|nobody answered|was told {money}].",
        "The {vehicle} has an interest rate of {count} percent that [was never disclosed|the dealer marked up].",
        "They deferred a month of the {vehicle} and [report me late|added {count} payments|took the car].",
        "The [transmission|engine] of the vehicle [died|failed] after {count} days, yet the {vehicle} must be paid.",
        "The repo [driver|company] wants {money} for [storage|towing|my belongings] in the car.",
    ),
    "money_transfer": (
        "A {transfer} of {money} [never arrived|went to the wrong person|is pending|was cancelled without a refund].",
        "I was [scammed|tricked|defrauded] into a {transfer} of {money} [by someone who posed as the bank|for a puppy|for tickets].",
        "The {transfer} [service|company|app] [locked my wallet|refuses to refund|closed the case] [on {date}|without reason].",
        "The recipient [was never paid|could not pick up the cash|was asked for ID] and the {transfer} of {money} [vanished|is on hold].",
        "My [bitcoin|crypto wallet|coins] on [Coinbase|the exchange] [disappeared|was frozen|cannot be withdrawn] [on {date}|{since}].",
        "The exchange [holds|lost|froze] my [crypto|bitcoin] worth {money} and {refuse} {fix}.",
        "The scammer asked for a {transfer} and [blocked me|vanished|wanted more].",
        "[Western Union|MoneyGram|Venmo|Cash App] says the {transfer} [was completed|is under review|cannot be reversed].",
        "The fee and the exchange rate of the {transfer} were [not disclosed|changed|higher than shown].",
        "I sent a {transfer} [to my family abroad|to the landlord|to a seller], and the [agent|receiver] [got less|got nothing].",
        "The {transfer} limit was [cut|raised] and [my wallet|my profile] is [locked|under review] {since}.",
        "They ask for [a selfie|my ID|a video call] before they release the {transfer} of {money}.",
    ),
    "payday_personal_loan": (
        "I took a {payday} of {money} [online|at a store] and [paid back twice as much|still owe {money}].",
        "The lender of the {payday} [took {money} from my bank every week|debits me {often}|changed the due date].",
        "The {payday} has [an interest rate of {count}00 percent|fees of {money}|no license in my state].",
        "I [never applied for|never received|cancelled] the {payday}, yet they [debit|want] {money}.",
        "The {payday} lender [threatens|calls my references|rolls it over] and {refuse} [a payment plan|{fix}].",
        "An online lender [deposited|approved] {money} that I did not ask for and calls it a {payday}.",
        "The tribal lender says state law does not [apply|count] for the {payday}.",
        "They rolled over the {payday} {often}, and each [renewal|extension] cost {money}.",
        "I wanted to pay off the {payday} early and [they refused|the payoff was wrong|they kept the fees].",
        "The loan agreement of the {payday} [hides|does not show] the finance charge [of {money}|and the APR].",
        "An advance fee of {money} was asked before the {payday} [was released|came], a scam.",
        "They hold [my car title|a post-dated check|my online password] for the {payday}.",
    ),
}

NEW_SENTENCES: dict[str, tuple[str, ...]] = {
    "card": (
        "A pay-in-four plan on the {card} [split the purchase wrongly|charged {money} twice|was opened without me].",
    ),
    "bank_account": ("The neobank [behind the app|that holds my {account}] [went offline|froze everyone] on {date}.",),
    "money_transfer": ("A crypto kiosk took {money} in cash and the {transfer} [never showed|was a scam].",),
    "payday_personal_loan": ("An earned wage app [took tips|debited {money}] on top of the {payday}.",),
}

# Paragraphs of the dispute letters that people download, fill in and send again.
LETTER = (
    "[This letter is|Consider this|I hereby send] [a formal dispute|a notice of dispute|my formal complaint], [file|reference] {digits}, of {date}.",
    "[Pursuant to|In accordance with|Under] [15 USC 1681i|15 USC 1692g|section 611 of the FCRA] [you are required|you have the duty] to [investigate|verify|delete].",
    "[The item|Account number XXXX{digits}|The entry of {date}] with a balance of {money} [is not mine|is inaccurate|was never verified].",
    "[I demand|I request|I ask] [the removal|deletion|proof] of [this entry|the account] [within {count} days|by {date}|at once].",
    "[Failure to respond|If you do not answer|Your silence] [may result in|will lead to] [legal action|damages of {money}|a further complaint].",
    "[My identity|My identification|A copy of my license] and [a utility bill|proof of address] [is attached|are enclosed].",
    "[I never gave|You did not have|There was no] [written permission|permissible purpose|consent] [for this|to use my data|on {date}].",
)
LETTER_PRODUCTS = {"credit_reporting": 0.25, "debt_collection": 0.2}  # share of a product's texts written as a letter

# Other products that a complaint about one product also mentions.
ALSO_ABOUT: dict[str, dict[str, float]] = {
    "credit_reporting": {"debt_collection": 4, "card": 2, "student_loan": 1, "mortgage": 1, "vehicle_or_consumer_loan": 1, "bank_account": 1},
    "debt_collection": {"credit_reporting": 5, "card": 1.5, "payday_personal_loan": 1, "vehicle_or_consumer_loan": 1, "student_loan": 1, "bank_account": 1},
    "mortgage": {"bank_account": 3, "credit_reporting": 4, "debt_collection": 2, "payday_personal_loan": 1},
    "card": {"bank_account": 3, "credit_reporting": 3, "money_transfer": 2, "debt_collection": 2},
    "bank_account": {"card": 3, "money_transfer": 4, "credit_reporting": 1, "mortgage": 1, "payday_personal_loan": 1},
    "student_loan": {"debt_collection": 3, "credit_reporting": 4, "bank_account": 2, "payday_personal_loan": 1},
    "vehicle_or_consumer_loan": {"credit_reporting": 3, "debt_collection": 3, "payday_personal_loan": 2, "bank_account": 2},
    "money_transfer": {"bank_account": 6, "card": 3, "payday_personal_loan": 1},
    "payday_personal_loan": {"debt_collection": 4, "bank_account": 3, "vehicle_or_consumer_loan": 2, "credit_reporting": 1},
}  # fmt: skip

BANKS = (
    *("WELLS FARGO & COMPANY", "CITIBANK, N.A.", "BANK OF AMERICA, NATIONAL ASSOCIATION", "JPMORGAN CHASE & CO."),
    *("CAPITAL ONE FINANCIAL CORPORATION", "U.S. BANCORP", "NAVY FEDERAL CREDIT UNION", "PNC Bank N.A."),
)
COMPANIES: dict[str, tuple[str, ...]] = {
    "credit_reporting": ("TRANSUNION INTERMEDIATE HOLDINGS, INC.", "Experian Information Solutions Inc.", "EQUIFAX, INC."),
    "debt_collection": ("Midwest Recovery Systems", "I.C. System, Inc.", "PORTFOLIO RECOVERY ASSOCIATES INC", "ENCORE CAPITAL GROUP INC."),
    "mortgage": (*BANKS, "Shellpoint Partners, LLC", "Ocwen Financial Corporation", "SELECT PORTFOLIO SERVICING, INC."),
    "card": (*BANKS, "SYNCHRONY FINANCIAL", "AMERICAN EXPRESS COMPANY", "DISCOVER BANK", "BARCLAYS BANK DELAWARE"),
    "bank_account": (*BANKS, "TD BANK US HOLDING COMPANY", "ALLY FINANCIAL INC."),
    "student_loan": ("Navient Solutions, LLC.", "AES/PHEAA", "Nelnet, Inc."),
    "vehicle_or_consumer_loan": ("ALLY FINANCIAL INC.", "CREDIT ACCEPTANCE CORPORATION", "SANTANDER HOLDINGS USA, INC.", *BANKS[:3]),
    "money_transfer": ("Paypal Holdings, Inc", "Coinbase, Inc.", "THE WESTERN UNION COMPANY", *BANKS[:4]),
    "payday_personal_loan": ("OneMain Finance Corporation", "CURO Intermediate Holdings", "Enova International, Inc.", "SYNCHRONY FINANCIAL"),
}  # fmt: skip
NEW_COMPANIES = ("Affirm Holdings, Inc", "Chime Financial Inc", "Block, Inc.", "Klarna AB", "Upstart Holdings, Inc.")

# Names of the products in today's export, with the sub-product and issue that reveal the product.
PRODUCT_NAMES: dict[str, tuple[str, str, str]] = {
    "credit_reporting": ("Credit reporting or other personal consumer reports", "Credit reporting", "Incorrect information on your report"),
    "debt_collection": ("Debt collection", "Other debt", "Attempts to collect debt not owed"),
    "mortgage": ("Mortgage", "Conventional home mortgage", "Trouble during payment process"),
    "card": ("Credit card", "General-purpose credit card or charge card", "Problem with a purchase shown on your statement"),
    "bank_account": ("Checking or savings account", "Checking account", "Managing an account"),
    "student_loan": ("Student loan", "Federal student loan servicing", "Dealing with your lender or servicer"),
    "vehicle_or_consumer_loan": ("Vehicle loan or lease", "Loan", "Managing the loan or lease"),
    "money_transfer": ("Money transfer, virtual currency, or money service", "Domestic (US) money transfer", "Fraud or scam"),
    "payday_personal_loan": ("Payday loan, title loan, personal loan, or advance loan", "Payday loan", "Charged fees or interest you didn't expect"),
}  # fmt: skip

# Concept drift: people use other words, so complaints about one product sound like those about another.
SOUNDS_LIKE = dict(zip(SENTENCES, [*list(SENTENCES)[1:], next(iter(SENTENCES))], strict=True))
