"""Parameters of the drift watch."""

from pydantic import Field

from pipelines.runtime.params import StageParams


class AlarmParams(StageParams):
    """params.yaml: drift.alarm."""

    max_weeks: int = Field(ge=8)  # weeks of the reference that a live week is ranked among
    min_rows: int = Field(ge=1)  # fewer live rows decide nothing
    alert_excess: float = Field(ge=0)  # PSI minus its median from which a first rank alerts
    breach_excess: float = Field(ge=0)  # and from which two alerting weeks in a row breach
    draws: int = Field(ge=100)  # weeks put together of single days, where there are fewer than 26 real ones
    optimistic_p: float = Field(gt=0, lt=1)  # share of those draws that may reach an alert
    trend_weeks: int = Field(ge=4, le=26)  # live weeks over which a slow drift is looked for
    alpha: float = Field(gt=0, lt=1)  # level of the second opinions
    min_effect: float = Field(ge=0, le=1)  # and the effect they demand (D, Cramer's V)


class UpstreamParams(StageParams):
    """params.yaml: drift.upstream."""

    max_stale_days: int = Field(ge=1)  # days without a row at the end of the window
    min_rows_share: float = Field(ge=0, le=1)  # of the reference's median week
    max_missing_rise: float = Field(gt=0, le=1)  # rise of a column's missing share
    max_unit_factor: float = Field(gt=1)  # all quantiles of a number multiplied by about the same


class ConceptParams(StageParams):
    """params.yaml: drift.concept."""

    label_days: int = Field(ge=1)  # days of late labels that are looked at
    min_rows: int = Field(ge=1)  # fewer labeled rows decide nothing
    margin: float = Field(ge=0, lt=1)  # accuracy that may be lost before it counts
    confidence: float = Field(gt=0.5, lt=1)  # of the two-sided intervals


class DecisionParams(StageParams):
    """params.yaml: drift.decision."""

    cooldown_days: float = Field(ge=0)  # after a retraining, before the next
    retrain_minutes: float = Field(gt=0)  # what a retraining is expected to cost
    max_minutes_per_month: float = Field(ge=0)  # pre-approved; more is a page and no run


class DriftParams(StageParams):
    """params.yaml: drift."""

    alarm: AlarmParams
    upstream: UpstreamParams
    concept: ConceptParams
    decision: DecisionParams
    lock_seconds: float = Field(ge=0)  # how long a second run waits for the first
