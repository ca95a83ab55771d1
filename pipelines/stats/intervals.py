"""Confidence intervals of proportions."""

from __future__ import annotations

from typing import Any

NAN = float("nan")


def wilson(hits: Any, rows: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    """Return the two-sided Wilson score interval of `hits` in `rows`; NaN without rows.

    Both may be arrays of one shape, and counts need not be whole (effective sample sizes). Wilson (1927), "Probable
    inference, the law of succession, and statistical inference", JASA 22, 209-212.
    """
    import numpy as np
    from statsmodels.stats.proportion import proportion_confint

    if np.ndim(rows) == 0:
        if rows <= 0:
            return (NAN, NAN)
        low, high = proportion_confint(hits, rows, alpha=1 - confidence, method="wilson")
        # Rounding must not exclude the observed share itself.
        return (0.0 if hits == 0 else float(low), 1.0 if hits == rows else float(high))
    low, high = proportion_confint(hits, rows, alpha=1 - confidence, method="wilson")
    return (low, high)
