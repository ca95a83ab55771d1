"""Parameters of the service."""

from pydantic import Field

from pipelines.runtime.params import StageParams


class CanaryParams(StageParams):
    """params.yaml: serve.canary."""

    share: float = Field(ge=0, le=0.5)  # of the records that the challenger answers
    alpha: float = Field(gt=0, lt=0.5)  # chance to stop a challenger that is as good
    variance: float = Field(gt=0)  # of the mixture, in units of the standardized difference
    burn_in: int = Field(ge=10)  # first pairs, which only set the scale
    pairs_wanted: int = Field(ge=100)  # labeled pairs after which a challenger that was not stopped is champion
    loss_floor: float = Field(gt=0, lt=0.5)  # confidences are kept this far from 0 and 1
    max_error_share: float = Field(ge=0, le=1)  # of the challenger's calls that may fail
    max_slowdown: float = Field(gt=1)  # its time for a record over the champion's
    min_calls: int = Field(ge=1)  # calls before errors and time count
    days: int = Field(ge=1)  # that the test looks back on; a trial without a verdict ends then


class ServeParams(StageParams):
    """params.yaml: serve."""

    port: int = Field(ge=1, le=65535)  # on the loopback interface unless --host says otherwise
    poll_seconds: float = Field(gt=0)  # how often the aliases are looked at
    maintenance_seconds: float = Field(gt=0)  # how often the log is compacted and the canary looked at
    max_batch_records: int = Field(ge=1)  # most records answered together
    max_batch_wait_ms: float = Field(ge=0)  # how long the first record of a batch waits for company
    max_records: int = Field(ge=1)  # of one request
    max_text_chars: int = Field(ge=1)  # of one record
    max_body_bytes: int = Field(ge=1024)  # of one request
    max_body_seconds: float = Field(gt=0)  # in which a request's body must have arrived
    max_waiting: int = Field(ge=1)  # records waiting for an answer; beyond that a request gets 503
    fsync_seconds: float = Field(gt=0)  # what a power cut may cost of the log; kill -9 costs nothing
    max_segment_bytes: int = Field(ge=4096)  # a log segment is closed beyond this
    canary: CanaryParams
