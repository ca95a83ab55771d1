"""Prometheus metrics of one service process."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as Series

LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONFIDENCE = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Metrics:
    """Counts in a separate registry, so that two apps in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Series(
            "perennial_requests", "Requests by path and status", ["path", "status"], registry=self.registry
        )
        self._latency = Histogram(
            "perennial_request_seconds",
            "Duration of requests in seconds",
            ["path"],
            buckets=LATENCY,
            registry=self.registry,
        )
        self._confidence = Histogram(
            "perennial_confidence", "Confidence of the answers", buckets=CONFIDENCE, registry=self.registry
        )
        self._labels = Series(
            "perennial_answers", "Answers by label and version", ["label", "version"], registry=self.registry
        )
        self._rejected = Series("perennial_rejected_rows", "Raw rows that are not records", registry=self.registry)
        self._errors = Series(
            "perennial_model_errors", "Calls of a model that failed", ["version"], registry=self.registry
        )
        self._dropped = Series(
            "perennial_challenger_dropped", "Records that the challenger was too busy to see", registry=self.registry
        )
        self._version = Gauge(
            "perennial_model_version", "Version in a role, 0 for none", ["role"], registry=self.registry
        )
        self._export = Gauge(
            "perennial_export",
            "1 for a version whose exported network answers, by the digest of its parity verdict",
            ["version", "verdict"],
            registry=self.registry,
        )
        self._lock = threading.Lock()
        self._calls: Counter[int] = Counter()
        self._failures: Counter[int] = Counter()
        self._records: Counter[int] = Counter()
        self._microseconds: Counter[int] = Counter()

    def request(self, *, path: str, status: int, seconds: float) -> None:
        """Count one finished request."""
        self._requests.labels(path, str(status)).inc()
        self._latency.labels(path).observe(seconds)

    def answered(self, answers: list[dict[str, Any]]) -> None:
        """Count answers by label and version, and their confidence."""
        for answer in answers:
            self._confidence.observe(answer["confidence"])
            self._labels.labels(answer["label"], str(answer["model_version"])).inc()

    def rejected(self, rows: int) -> None:
        """Count raw rows that were rejected."""
        self._rejected.inc(rows)

    def called(self, version: int, *, records: int, seconds: float) -> None:
        """Count a successful call of a model and its time."""
        with self._lock:
            self._calls[version] += 1
            self._records[version] += records
            self._microseconds[version] += round(seconds * 1e6)

    def failed(self, version: int) -> None:
        """Count a failed call of a model."""
        with self._lock:
            self._calls[version] += 1
            self._failures[version] += 1
        self._errors.labels(str(version)).inc()

    def dropped(self, records: int) -> None:
        """Count records that the challenger did not see, because too many were waiting for it."""
        self._dropped.inc(records)

    def failures(self, version: int) -> tuple[int, int]:
        """Return the failed calls and all calls of a version."""
        return self._failures[version], self._calls[version]

    def milliseconds(self, version: int) -> float | None:
        """Return a version's mean milliseconds per record, or None before its first answer."""
        return self._microseconds[version] / self._records[version] / 1000 if self._records[version] else None

    def serving(self, *, champion: int, challenger: int | None, exports: dict[int, str | None] | None = None) -> None:
        """Set which versions are in memory, and the digests of the parity verdicts of their exported networks."""
        self._version.labels("champion").set(champion)
        self._version.labels("challenger").set(challenger or 0)
        self._export.clear()
        for version, verdict in (exports or {}).items():
            if verdict is not None:
                self._export.labels(str(version), verdict).set(1)

    def render(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
