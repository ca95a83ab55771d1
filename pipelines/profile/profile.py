"""The drift profile: the reference window of a model as counts by day over fixed bins, and its files."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.profile.performance import Performance
from pipelines.profile.text_measure import OUT_OF_VOCABULARY, TextMeasure, write_parquet
from pipelines.runtime.errors import InputError
from pipelines.runtime.state import write_atomic
from pipelines.stats.histogram import FREQUENT, Bins, Counts, Kind
from pipelines.stats.tail import SPANS, split_tail

FORMAT = 2  # 1: without the tails of categories, as earlier releases wrote it
PREDICTED, CONFIDENCE, TEXT_LENGTH = "predicted_class", "confidence", "text_length"
SKETCH_LEVELS = 1001  # quantiles kept per number: the error of a Kolmogorov-Smirnov distance is at most 0.001
OWN = (PREDICTED, CONFIDENCE, TEXT_LENGTH, OUT_OF_VOCABULARY)  # columns that the project measures, and embedding_...
FEATURE = "feature."  # before the name of a feature that is named like one of them
FILES = ("counts.parquet", "sketches.parquet", "vocabulary.parquet", "directions.parquet", "tails.parquet")


def is_own(name: str) -> bool:
    """Return whether a column of a profile is the project's own rather than a feature of the domain."""
    return name in OWN or name.startswith("embedding_")


def name_of_feature(feature: str) -> str:
    """Return the name of a feature's column in a profile: no two columns have one name, whatever features are named."""
    return FEATURE + feature if is_own(feature) or feature.startswith(FEATURE) else feature


@dataclass(frozen=True)
class Column:
    """One column of a profile: its bins, the source of its values, its counts by day, and quantiles of a number."""

    bins: Bins
    source: str  # "input": known for every row; "prediction": predicted by the model; "text": measured on the text
    counts: Counts
    sketch: NDArray[np.float64]
    tails: Counts | None = None  # (spans, days, 2): see `stats.tail`; None without rare categories, or in format 1

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.bins.name

    @property
    def feature(self) -> str | None:
        """Return the name of the domain's feature that the column is about; None for the project's own columns."""
        return None if is_own(self.name) else self.name.removeprefix(FEATURE)

    @property
    def kind(self) -> Kind:
        """Return whether the column has numbers or categories."""
        return self.bins.kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Return a readable name per bin that weeks are compared on."""
        labels = self.bins.labels
        return labels if self.tails is None else (*labels[:-2], FREQUENT, *labels[-2:])

    def comparable(self, span: int) -> Counts:
        """Return counts (days, bins) of the reference in which `span` weeks are as a live window is, new values too."""
        return self.counts if self.tails is None else split_tail(self.counts, self.tails[SPANS.index(span)])


@dataclass(frozen=True)
class Profile:
    """The accepted rows of the training window, before dedupe, as counts by day; live data is compared with it."""

    domain: str
    model_digest: str
    first_day: date
    n_days: int
    rows: NDArray[np.int64]
    columns: tuple[Column, ...]
    text: TextMeasure
    performance: Performance | None
    identifiers: tuple[str, ...] = ()  # features left out because nearly every value is new
    format: int = FORMAT

    @property
    def end(self) -> date:
        """Return the day after the last one."""
        return self.first_day + timedelta(days=self.n_days)

    @property
    def n_weeks(self) -> int:
        """Return the number of whole weeks."""
        return self.n_days // 7

    @property
    def digest(self) -> str:
        """Return the sha256 of the content."""
        return hashlib.sha256(self._manifest()).hexdigest()

    def column(self, name: str) -> Column:
        """Return the column of that name; InputError lists the known columns."""
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"the profile has no column {name!r}; known: {', '.join(c.name for c in self.columns)}")

    def refuse_other(self, *, domain: str, model_digest: str | None) -> None:
        """Raise InputError when this is the profile of another domain or of another model."""
        if self.domain != domain:
            raise InputError(
                f"profile of domain {self.domain!r} used for data of domain {domain!r}: use that domain's profile"
            )
        if model_digest is not None and model_digest != self.model_digest:
            raise InputError(
                f"profile of model {self.model_digest[:12]} used for predictions of model {model_digest[:12]}: "
                "use the profile that was released with that version"
            )

    def write(self, folder: Path) -> None:
        """Write `profile.json` and the Parquet files next to it; equal profiles give equal bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in self._tables().items():
            write_parquet(folder / name, frame)
        self.text.write(folder)
        head = json.loads(self._manifest())
        head["files"] = {name: _digest(folder / name) for name in _files(self.format)}
        write_atomic(folder / "profile.json", (json.dumps(head, indent=2, sort_keys=True) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> "Profile":
        """Return the profile in a folder; InputError when a file is missing, changed or of another format."""
        path = folder / "profile.json"
        try:
            head = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is not a drift profile ({error}); stage promote writes one for each model"
            ) from None
        if not isinstance(head, dict) or head.get("format") not in (1, FORMAT):
            raise InputError(
                f"{path}: format {head.get('format') if isinstance(head, dict) else head!r}; expected 1 or {FORMAT}"
            )
        for name in _files(head["format"]):
            found = _digest(folder / name) if (folder / name).is_file() else "nothing"
            if found != head["files"][name]:
                raise InputError(
                    f"{folder / name} has digest {found[:12]}, profile.json has {head['files'][name][:12]}"
                )
        counts = pd.read_parquet(folder / "counts.parquet")
        sketches = pd.read_parquet(folder / "sketches.parquet")
        n_days = int(head["n_days"])
        tails = pd.read_parquet(folder / "tails.parquet") if head["format"] > 1 else None
        columns = []
        for index, plain in enumerate(head["columns"]):
            bins = Bins.from_json(plain)
            dense = np.zeros((n_days, bins.n_bins), dtype=np.int64)
            own = counts[counts["column"] == index]
            dense[own["day"].to_numpy(), own["bin"].to_numpy()] = own["count"].to_numpy()
            sketch = sketches.loc[sketches["column"] == index, "value"].to_numpy(dtype=np.float64)
            tail = None
            if tails is not None and plain["tails"]:
                tail, mine = np.zeros((len(SPANS), n_days, 2), dtype=np.int64), tails[tails["column"] == index]
                tail[mine["span"].to_numpy(), mine["day"].to_numpy(), mine["kind"].to_numpy()] = mine["count"]
            columns.append(Column(bins=bins, source=plain["source"], counts=dense, sketch=sketch, tails=tail))
        profile = cls(
            domain=head["domain"],
            model_digest=head["model_digest"],
            first_day=date.fromisoformat(head["first_day"]),
            n_days=n_days,
            rows=np.asarray(head["rows"], dtype=np.int64),
            columns=tuple(columns),
            text=TextMeasure.read(folder),
            performance=Performance.from_json(head["performance"]) if head["performance"] else None,
            identifiers=tuple(head.get("identifiers", ())),
            format=head["format"],
        )
        if profile.digest != hashlib.sha256(_canonical({k: v for k, v in head.items() if k != "files"})).hexdigest():
            raise InputError(f"{path}: its content does not match its digest")
        return profile

    def _tables(self) -> dict[str, pd.DataFrame]:
        rows, sketches, tails = [], [], []
        for index, column in enumerate(self.columns):
            day, place = np.nonzero(column.counts)
            rows.append(pd.DataFrame({"column": index, "day": day, "bin": place, "count": column.counts[day, place]}))
            sketches.append(pd.DataFrame({"column": index, "value": column.sketch}))
            if column.tails is not None:
                span, day, kind = np.nonzero(column.tails)
                tail = {"span": span, "day": day, "kind": kind, "count": column.tails[span, day, kind]}
                tails.append(pd.DataFrame({"column": index, **tail}))
        counts = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["column", "day", "bin", "count"])
        values = pd.concat(sketches, ignore_index=True) if sketches else pd.DataFrame(columns=["column", "value"])
        tables = {
            "counts.parquet": counts.astype({"column": "int32", "day": "int32", "bin": "int32", "count": "int64"}),
            "sketches.parquet": values.astype({"column": "int32", "value": "float64"}),
        }
        if self.format > 1:
            empty = pd.DataFrame(columns=["column", "span", "day", "kind", "count"])
            tables["tails.parquet"] = pd.concat(tails or [empty], ignore_index=True).astype("int64")
        return tables

    def _manifest(self) -> bytes:
        performance = self.performance
        return _canonical(
            {
                "format": self.format,
                "domain": self.domain,
                "model_digest": self.model_digest,
                "first_day": self.first_day.isoformat(),
                "n_days": self.n_days,
                "rows": self.rows.tolist(),
                "columns": [
                    {
                        **column.bins.to_json(),
                        "source": column.source,
                        "content": hashlib.sha256(column.counts.tobytes() + column.sketch.tobytes()).hexdigest(),
                        **({"tails": _content_of(column.tails)} if self.format > 1 else {}),
                    }
                    for column in self.columns
                ],
                "text": hashlib.sha256(
                    "\n".join(self.text.vocabulary).encode() + self.text.mean.tobytes() + self.text.directions.tobytes()
                ).hexdigest(),
                "performance": performance.to_json() if performance else None,
                **({"identifiers": list(self.identifiers)} if self.format > 1 else {}),
            }
        )


def _files(format_: int) -> tuple[str, ...]:
    return FILES if format_ > 1 else FILES[:-1]


def _content_of(tails: Counts | None) -> str | None:
    return None if tails is None else hashlib.sha256(tails.tobytes()).hexdigest()


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
