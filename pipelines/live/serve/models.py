"""The models in memory: champion and challenger as the registry's aliases say, exchanged without a pause."""

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
    """What the service asks of a model."""

    labels: tuple[str, ...]

    def predict(self, records: pd.DataFrame) -> pd.DataFrame:
        """`id`, `label`, `confidence`."""


@dataclass(frozen=True)
class Loaded:
    """A version that has answered once."""

    version: int
    predictor: Answers
    export: str | None = None  # digest of the parity verdict by which its network is an exported one


@dataclass(frozen=True)
class Pair:
    """What answers now, and what is tried beside it."""

    champion: Loaded
    challenger: Loaded | None


class Models:
    """Keeps a `Pair` that is replaced as a whole: a request that began with one pair ends with it."""

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
        """Whether a champion has been loaded and has answered once."""
        return self._pair is not None

    @property
    def pair(self) -> Pair:
        """The models of this moment; InputError before the first is ready."""
        pair = self._pair
        if pair is None:
            raise InputError("no model is loaded yet; /readyz says when")
        return pair

    def refresh(self) -> bool:
        """Load what the aliases name and exchange the pair; True when something changed.

        A version that cannot be loaded (a file changed, NaN answers) is refused with its reason, and what answered
        before goes on answering.
        """
        from pipelines.live.release.registry import CHALLENGER, CHAMPION

        with self._lock:
            wanted, tried = self._registry.alias(CHAMPION), self._registry.alias(CHALLENGER)
            before = self._pair
            champion = self._load(wanted, before)
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

    def _load(self, version: int | None, before: Pair | None) -> Loaded | None:
        if version is None or time.monotonic() < self._retry_at.get(version, 0.0):
            return None
        for known in (before.champion, before.challenger) if before else ():
            if known is not None and known.version == version:
                return known
        from pipelines.live.score.export import passed_export
        from pipelines.models.predictor import Predictor

        try:
            model = self._registry.package(version) / "model"
            predictor = Predictor.load(model)
            if tuple(predictor.labels) != tuple(self._domain.schema.labels):
                raise InputError(f"version {version} answers other labels than the domain has")
            export = passed_export(
                model, exports=self._exports, threads=self._threads, streams=1
            )  # by the same rule as in scoring
            if export is not None:
                predictor.replace_encoder(export.vectors)
            predictor.predict(self._probe())
        except Exception as error:  # whatever is wrong with a new version, the one in memory goes on answering
            self.refused[version], self._retry_at[version] = str(error), time.monotonic() + RETRY_SECONDS
            logger.error("version %s is refused: %s", version, error)
            return None
        self.refused.pop(version, None)
        return Loaded(version, predictor, export.verdict if export else None)

    def _probe(self) -> pd.DataFrame:
        import pandas as pd

        from pipelines.records.conversion import as_training_sees

        return as_training_sees(pd.DataFrame({"id": ["probe"], "text": [PROBE]}), domain=self._domain)


def _versions(pair: Pair) -> tuple[int, int | None]:
    return pair.champion.version, pair.challenger.version if pair.challenger else None
