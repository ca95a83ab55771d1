"""From ranked weeks to alerts and breaches, and for how many weeks they last."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.live.drift.weeks import Scored

Flags = NDArray[np.bool_]
# With fewer than 26 reference weeks, an alert is a score that at most this share of the composed weeks reaches: just
# below 1/27, the chance of the first rank among 26 weeks and the live one. It is a constant and not a parameter because
# the promised false-alarm rate depends on it.
OPTIMISTIC_P = 0.037


def find_breaches(
    live: Scored, previous: Scored | None, *, alert_excess: float, breach_excess: float, optimistic_p: float
) -> tuple[Flags, Flags]:
    """Return which columns alert, and which breach: this week and the disjoint week before are beyond all others.

    The size of the change counts besides its rank, because with many rows a change may be certain and not matter.
    """
    alert = alerts(live, excess=alert_excess, optimistic_p=optimistic_p)
    if previous is None:
        return alert, np.zeros_like(alert)
    before = alerts(previous, excess=alert_excess, optimistic_p=optimistic_p)
    return alert, alert & before & (live.excess > breach_excess)


def alerts(week: Scored, *, excess: float, optimistic_p: float) -> Flags:
    """Return the columns of one week that are beyond every other week by more than `excess`."""
    return week.beyond(at_most=optimistic_p) & (np.nan_to_num(week.excess) > excess)


def weeks_in_a_row(flags: Sequence[Flags]) -> NDArray[np.int64]:
    """Return for each column how many weeks in a row it alerts, counted back from the first of `flags` (the live
    week).
    """
    stacked = np.asarray(flags, dtype=bool)
    return np.cumprod(stacked, axis=0).sum(axis=0).astype(np.int64)
