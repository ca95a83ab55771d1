"""What clients send and get: request models made from the domain's features, with every limit stated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

if TYPE_CHECKING:
    from pipelines.records.domain import DomainSchema

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(hours=1)  # a client's clock may be ahead of ours by this much
NO_NULL = r"^[^\x00]*$"
MAX_ID, MAX_CATEGORY = 200, 500


class Strict(BaseModel):
    """A request part: unknown fields and silent conversions refused."""

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


class Problem(BaseModel):
    """Why a request was not answered: one sentence, and where in the request."""

    detail: str | list[dict[str, Any]]


def _in_range(moment: datetime) -> datetime:
    if moment < EARLIEST:
        raise ValueError(f"{moment.isoformat()} is before 1970")
    if moment > datetime.now(UTC) + CLOCKS_DIFFER:
        raise ValueError(f"{moment.isoformat()} is in the future; leave it out for now")
    return moment.astimezone(UTC)


def request_model(schema: DomainSchema, *, max_records: int, max_text_chars: int) -> Any:
    """The body of /predict: one record, or `{"records": [...]}`."""
    least = 1 if schema.requires_text else 0
    text = Annotated[str, Field(strict=True, min_length=least, max_length=max_text_chars, pattern=NO_NULL)]
    name = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_ID, pattern=NO_NULL)]
    moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
    category = Annotated[str, Field(strict=True, max_length=MAX_CATEGORY, pattern=NO_NULL)]
    number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
    fields: dict[str, Any] = {
        "text": (text, ... if schema.requires_text else ""),
        "id": (name | None, Field(None, description="what late labels refer to; default: a random one")),
        "received_at": (moment | None, Field(None, description="with a time zone; default: now")),
    }
    for feature in schema.features:
        kind = category if feature.kind == "category" else number
        fields[feature.name] = (
            kind | None,
            Field(None, description="null where unknown; what follows from the text is computed from it"),
        )
    record = create_model("Record", __base__=Strict, __doc__="One record.", **fields)
    batch = create_model(
        "Records",
        __base__=Strict,
        __doc__="Several records.",
        records=(Annotated[list[record], Field(min_length=1, max_length=max_records)], ...),
    )
    return Annotated[
        Annotated[record, Tag("record")] | Annotated[batch, Tag("records")],
        Discriminator(lambda body: "records" if isinstance(body, dict) and "records" in body else "record"),
    ]
