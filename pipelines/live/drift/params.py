"""Parameters of the drift watch. The level of an alarm is a constant, `alarms.OPTIMISTIC_P`."""

from pydantic import Field

from pipelines.runtime.params import StageParams


class AlarmParams(StageParams):
    """params.yaml: drift.alarm."""

    max_weeks: int = Field(default=52, ge=8, description="weeks of the reference that a live week is ranked among")
    min_rows: int = Field(ge=1, description="live rows per week; with fewer a week is undecided")
    alert_excess: float = Field(ge=0, description="PSI minus its median from which a first rank alerts")
    breach_excess: float = Field(ge=0, description="the same from which two alerting weeks in a row are a breach")
    draws: int = Field(
        default=999, ge=100, description="weeks composed of single days, used where there are 8 to 26 real ones"
    )
    trend_weeks: int = Field(default=8, ge=4, le=26, description="live weeks in which a slow drift is searched")
    alpha: float = Field(
        default=0.01, gt=0, lt=1, description="level of the second opinions (Kolmogorov-Smirnov, chi-square)"
    )
    min_effect: float = Field(default=0.1, ge=0, le=1, description="effect that they require (D, Cramer's V)")


class UpstreamParams(StageParams):
    """params.yaml: drift.upstream. Signs of a broken source, which never leads to a retraining."""

    max_stale_days: int = Field(ge=1, description="days without a row at the end of the window, from which it is stale")
    min_rows_share: float = Field(ge=0, le=1, description="rows of the week divided by the reference's median week")
    max_missing_rise: float = Field(default=0.25, gt=0, le=1, description="rise of a column's missing share")
    max_unit_factor: float = Field(default=5.0, gt=1, description="factor that is common to all quantiles of a number")


class ConceptParams(StageParams):
    """params.yaml: drift.concept."""

    label_days: int = Field(default=28, ge=1, description="days of late labels that are used")
    min_rows: int = Field(default=200, ge=1, description="labeled rows; with fewer it is undecided")
    margin: float = Field(ge=0, lt=1, description="accuracy that may be lost")
    confidence: float = Field(default=0.99, gt=0.5, lt=1, description="of the two-sided intervals")


class DecisionParams(StageParams):
    """params.yaml: drift.decision."""

    cooldown_days: float = Field(ge=0, description="days from one retraining to the next")
    retrain_minutes: float = Field(gt=0, description="minutes that a retraining is expected to take")
    max_minutes_per_month: float = Field(ge=0, description="approved minutes; beyond them a person is paged instead")
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="retrainings of a version that may fail in a cooldown; then a person is paged instead",
    )
    max_queued_hours: float = Field(default=6.0, gt=0, description="hours after which a waiting run never started")
    max_running_hours: float = Field(
        default=24.0, gt=0, description="hours after which a run without an end has failed"
    )


class DriftParams(StageParams):
    """params.yaml: drift."""

    alarm: AlarmParams
    upstream: UpstreamParams
    concept: ConceptParams
    decision: DecisionParams
    lock_seconds: float = Field(default=60.0, ge=0, description="seconds that a second drift run waits for the first")
