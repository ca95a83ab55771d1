"""Request and response models, made from the domain's features, with every limit stated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    create_model,
)

if TYPE_CHECKING:
    from pipelines.live.serve.params import ServeParams
    from pipelines.records.schema import DomainSchema

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(hours=1)  # a client's clock may be ahead by this much
NO_NULL = r"^[^\x00]*$"
MAX_ID, MAX_CATEGORY = 200, 500
MAX_COLUMNS = 1000  # of a raw row


class Strict(BaseModel):
    """A part of a request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """The answer to one record."""

    id: str
    label: str
    confidence: float = Field(ge=0, le=1)
    model_version: int
    request_id: str


class Answers(BaseModel):
    """The answers to a request, in the order of its records."""

    predictions: list[Answer]


class RowAnswer(Answer):
    """The answer to one raw row."""

    row: int = Field(ge=0, description="place of the row in the request, from 0")


class RejectedRow(BaseModel):
    """A raw row that is not a record."""

    row: int = Field(ge=0, description="place of the row in the request, from 0")
    reason: str = Field(description="the reason that ingest would write to quarantine, without personal data")


class RowAnswers(BaseModel):
    """The answers to raw rows: every row is in one of the two lists."""

    predictions: list[RowAnswer]
    rejected: list[RejectedRow]


class Problem(BaseModel):
    """Why a request was not answered: one sentence, or the places in the request and what is wrong there."""

    detail: str | list[dict[str, Any]]


def request_model(schema: DomainSchema, *, params: ServeParams, clock: Callable[[], datetime]) -> Any:
    """Return the type of the body of /predict: one record, `{"records": [...]}`, or `{"raw": [...]}`."""

    def in_range(moment: datetime) -> datetime:
        if moment < EARLIEST:
            raise ValueError("the time is before 1970")
        if moment > clock() + CLOCK_SKEW:
            raise ValueError("the time is in the future; leave it out for the current time")
        return moment.astimezone(UTC)

    min_length = 1 if schema.requires_text else 0
    text = Annotated[str, Field(strict=True, min_length=min_length, max_length=params.max_text_chars, pattern=NO_NULL)]
    name = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_ID, pattern=NO_NULL)]
    moment = Annotated[AwareDatetime, AfterValidator(in_range)]
    category = Annotated[str, Field(strict=True, max_length=MAX_CATEGORY, pattern=NO_NULL)]
    number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
    fields: dict[str, Any] = {
        "text": (text, ... if schema.requires_text else ""),
        "id": (name | None, Field(None, description="the id that late labels refer to; default: a random one")),
        "received_at": (moment | None, Field(None, description="with a time zone; default: now")),
    }
    for place, feature in enumerate(schema.features):  # a feature may have any name, an attribute of a model may not
        kind = category if feature.kind == "category" else number
        what = "null where unknown; features that follow from the text are computed from it"
        fields[f"feature_{place}"] = (kind | None, Field(None, alias=feature.name, description=what))
    names = {feature.name for feature in schema.features}
    record = create_model("Record", __base__=Strict, __doc__="One record.", **fields)
    batch = create_model(
        "Records",
        __base__=Strict,
        __doc__="Several records.",
        records=(Annotated[list[record], Field(min_length=1, max_length=params.max_records)], ...),
    )
    column = Annotated[str, Field(min_length=1, max_length=MAX_ID, pattern=NO_NULL)]
    row = Annotated[dict[column, JsonValue], Field(min_length=1, max_length=MAX_COLUMNS)]
    raw = create_model(
        "RawRows",
        __base__=Strict,
        __doc__="Rows as the source delivers them, by column; they are converted and validated as in training.",
        raw=(Annotated[list[row], Field(min_length=1, max_length=params.max_records)], ...),
    )
    return Annotated[
        Annotated[record, Tag("record")] | Annotated[batch, Tag("records")] | Annotated[raw, Tag("raw")],
        Discriminator(lambda body: kind_of(body, features=names)),
    ]


def kind_of(body: Any, *, features: Collection[str] = ()) -> str:
    """Return which kind of body a request has: "records", "raw" or "record"; a feature may have one of these names."""
    if isinstance(body, dict):
        for kind in ("records", "raw"):
            if kind in body and (kind not in features or isinstance(body[kind], list)):
                return kind
    return "record"
