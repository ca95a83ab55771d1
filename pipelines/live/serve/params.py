"""Parameters of the service."""

from pydantic import Field

from pipelines.runtime.params import StageParams


class CanaryParams(StageParams):
    """params.yaml: serve.canary."""

    share: float = Field(ge=0, le=0.5, description="share of records that the challenger answers, by a hash of the id")
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="probability of stopping an equally good challenger, over all evaluations, and of accepting early one "
        "that is worse by max_loss_increase",
    )
    max_loss_increase: float = Field(
        default=0.05,
        gt=0,
        description="mean log loss by which the challenger may be worse: shown to be less, it becomes champion early",
    )
    burn_in: int = Field(default=50, ge=10, description="first labeled pairs, which only set the scale")
    pairs_wanted: int = Field(
        ge=100,
        description="labeled pairs at most: a challenger that was not shown to be worse by then becomes champion",
    )
    loss_floor: float = Field(
        default=0.01, gt=0, lt=0.5, description="distance from 0 and 1 that confidences are clipped to"
    )
    max_error_share: float = Field(ge=0, le=1, description="share of the challenger's calls that may fail")
    max_slowdown: float = Field(gt=1, description="time per record divided by the champion's")
    max_wait_ms: float = Field(
        default=250.0, gt=0, description="wait for the challenger's answer, after which the champion's is sent"
    )
    max_waiting: int = Field(default=2048, ge=1, description="records waiting for the challenger; more are dropped")
    max_call_seconds: float = Field(default=30.0, gt=0, description="seconds of one call, from which it has hung")
    min_calls: int = Field(default=50, ge=1, description="calls before errors and time count")
    days: int = Field(ge=1, description="days that the test looks back; a trial without a verdict ends then")


class ServeParams(StageParams):
    """params.yaml: serve."""

    port: int = Field(ge=1, le=65535, description="on the loopback interface unless --host names another")
    poll_seconds: float = Field(default=2.0, gt=0, description="seconds between reads of the aliases")
    maintenance_seconds: float = Field(
        default=30.0, gt=0, description="seconds between compactions of the log and evaluations of the canary"
    )
    max_batch_records: int = Field(ge=1, description="records answered together")
    max_batch_wait_ms: float = Field(
        default=0.0, ge=0, description="wait of a batch's first record; with 0 a batch is what queued meanwhile"
    )
    max_records: int = Field(ge=1, description="records per request")
    max_text_chars: int = Field(default=200_000, ge=1, description="characters per record")
    max_body_bytes: int = Field(default=4_194_304, ge=1024, description="bytes per request")
    max_body_seconds: float = Field(default=30.0, gt=0, description="seconds in which a request's body must arrive")
    max_header_bytes: int = Field(default=65_536, ge=1024, description="bytes of a request's line and headers")
    max_header_seconds: float = Field(default=10.0, gt=0, description="seconds in which they must arrive")
    max_connections: int = Field(default=1000, ge=1, description="connections; beyond it a request gets 503")
    max_waiting: int = Field(ge=1, description="records waiting for an answer; beyond it a request gets 503")
    fsync_seconds: float = Field(
        default=1.0, gt=0, description="seconds of the log that a power cut may cost; kill -9 costs nothing"
    )
    max_segment_bytes: int = Field(default=16_777_216, ge=4096, description="bytes after which a log segment is closed")
    canary: CanaryParams
