"""The models in memory: the champion and challenger of the registry's aliases, exchanged without a pause."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.runtime.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.live.release.registry import Registry
    from pipelines.records.domain import Domain

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0  # before a version that could not be loaded is tried again
PROBE = "I want to know whether this service answers."


class Answers(Protocol):
    """The part of a predictor that the service uses."""

    labels: tuple[str, ...]

    def predict(self, records: pd.DataFrame) -> pd.DataFrame:
        """Return columns `id`, `label`, `confidence`, one row per record."""


@dataclass(frozen=True)
class Loaded:
    """A loaded version that has answered a probe."""

    version: int
    predictor: Answers
    export: str | None = None  # digest of the parity verdict of its exported network


@dataclass(frozen=True)
class Pair:
    """The version that answers, and the version that is tried next to it."""

    champion: Loaded
    challenger: Loaded | None


class Models:
    """Holds a `Pair` that is replaced as a whole: a request that began with one pair ends with it."""

    def __init__(self, registry: Registry, *, domain: Domain, threads: int, exports: Path) -> None:
        self._registry = registry
        self._domain = domain
        self._threads = threads
        self._exports = exports
        self._lock = threading.Lock()
        self._pair: Pair | None = None
        self.refused: dict[int, str] = {}  # versions that could not be loaded, and why
        self._retry_at: dict[int, float] = {}

    @property
    def ready(self) -> bool:
        """Whether a champion is loaded and has answered a probe."""
        return self._pair is not None

    @property
    def pair(self) -> Pair:
        """The current models; raises InputError before the first is ready."""
        pair = self._pair
        if pair is None:
            raise InputError("no model is loaded yet: see /readyz")
        return pair

    def refresh(self) -> bool:
        """Load the versions of the aliases, exchange the pair, and return whether something changed.

        A version that cannot be loaded (changed file, NaN answers) is refused with its reason, and the version in
        memory goes on answering.
        """
        from pipelines.live.release.registry import CHALLENGER, CHAMPION

        with self._lock:
            wanted, tried = self._registry.alias(CHAMPION), self._registry.alias(CHALLENGER)
            before = self._pair
            champion = self._load(wanted, before, champion=True)
            if champion is None:
                if before is None:
                    return False
                champion = before.champion
            challenger = None if tried in (None, champion.version) else self._load(tried, before)
            after = Pair(champion, challenger)
            if before is not None and _versions(before) == _versions(after):
                return False
            self._pair = after
            logger.info("serving champion %s, challenger %s", *_versions(after))
            return True

    def _load(self, version: int | None, before: Pair | None, *, champion: bool = False) -> Loaded | None:
        if version is None or time.monotonic() < self._retry_at.get(version, 0.0):
            return None
        from pipelines.live.score.export import passed_export
        from pipelines.models.predictor import Predictor

        try:
            if champion:
                self._registry.require_recorded(version)
            for known in (before.champion, before.challenger) if before else ():
                if known is not None and known.version == version:
                    return known
            model = self._registry.package(version) / "model"
            predictor = Predictor.load(model)
            schema = self._domain.schema
            predictor.manifest.require_schema(labels=schema.labels, kinds=schema.kinds, what=f"version {version}")
            # The same rule as in scoring decides whether an export answers.
            export = passed_export(model, exports=self._exports, threads=self._threads, streams=1)
            if export is not None:
                predictor.replace_encoders(export.vectors)
            predictor.predict(self._probe())
        except Exception as error:  # the version in memory goes on answering, whatever is wrong with the new one
            self.refused[version], self._retry_at[version] = str(error), time.monotonic() + RETRY_SECONDS
            logger.error("version %s is refused: %s", version, error)
            return None
        self.refused.pop(version, None)
        return Loaded(version, predictor, export.verdict if export else None)

    def _probe(self) -> pd.DataFrame:
        import pandas as pd

        from pipelines.records.conversion import to_live_records

        return to_live_records(pd.DataFrame({"id": ["probe"], "text": [PROBE]}), domain=self._domain)


def _versions(pair: Pair) -> tuple[int, int | None]:
    return pair.champion.version, pair.challenger.version if pair.challenger else None
