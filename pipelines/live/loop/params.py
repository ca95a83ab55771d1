"""The plan of the scenario: examples/loop.yaml."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from pipelines.runtime.errors import ParamsError
from pipelines.runtime.params import StageParams, read_yaml

MONDAY = 0


class Scenario(StageParams):
    """loop.yaml: scenario."""

    trained_from: date = Field(description="first day of the first training window; a Monday")
    live_from: date = Field(description="first live day, and the end of that window; a Monday")
    drift_from: date = Field(description="Monday on which input drift starts")
    max_weeks: int = Field(ge=6, le=52, description="live weeks after which the scenario ends in any case")
    clear_weeks: int = Field(ge=1, le=8, description="weeks that the new champion must be without a breach")
    request_records: int = Field(ge=1, le=256, description="records per request to the service")

    @model_validator(mode="after")
    def whole_weeks(self) -> "Scenario":
        """Check that all days are Mondays, in order, with at least one quiet week before the drift."""
        for name in ("trained_from", "live_from", "drift_from"):
            if getattr(self, name).weekday() != MONDAY:
                raise ValueError(
                    f"invalid {name} = {getattr(self, name)}: expected a Monday, weeks are compared with weeks"
                )
        if not self.trained_from < self.live_from < self.drift_from:
            raise ValueError("invalid order of days: expected trained_from < live_from < drift_from")
        return self

    def weeks(self) -> list[tuple[date, date]]:
        """Return the live weeks, each half-open."""
        first = [self.live_from + timedelta(days=7 * week) for week in range(self.max_weeks)]
        return [(start, start + timedelta(days=7)) for start in first]


class Plan(StageParams):
    """loop.yaml."""

    scenario: Scenario
    params: dict[str, Any] = Field(description="overrides of params.yaml")
    domain: dict[str, Any] = Field(description="overrides of the domain's own params.yaml")


def read_plan(path: Path) -> Plan:
    """Return the plan in a file; ParamsError names the file and each parameter that is wrong."""
    try:
        return Plan.model_validate(read_yaml(path))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ParamsError("\n".join([f"{path} is invalid:", *lines])) from None
