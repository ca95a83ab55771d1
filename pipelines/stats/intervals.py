"""Confidence intervals of proportions."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

NAN = float("nan")


def wilson(hits: Any, rows: Any, *, confidence: float = 0.95) -> tuple[Any, Any]:
    """Return the two-sided Wilson score interval of `hits` in `rows`; NaN without rows.

    Both may be arrays of one shape, and counts need not be whole (effective sample sizes). Wilson (1927), "Probable
    inference, the law of succession, and statistical inference", JASA 22, 209-212. By hand, because statsmodels takes a
    second to import, more than ingest needs for 20,000 rows; the tests compare with it.
    """
    import numpy as np

    if np.ndim(rows) == 0 and rows <= 0:
        return (NAN, NAN)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = np.divide(hits, rows), z**2 / np.asarray(rows, dtype=float)
    center = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    if np.ndim(rows) == 0:
        # Rounding must not exclude the observed share itself.
        return (0.0 if hits == 0 else float(center - half), 1.0 if hits == rows else float(center + half))
    return (center - half, center + half)
