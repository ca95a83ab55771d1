"""Gates between stages: nothing starts behind a closed one but with an override record of exactly that verdict."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipelines.gates.verdict import Verdict, read_verdict
from pipelines.runtime.errors import GateClosed

DATA = Path("data")
OVERRIDES = DATA / "overrides"
FIELDS = ("stage", "verdict_digest", "who", "when", "why", "checks")


def require_open(*stages: str) -> tuple[dict[str, Any], ...]:
    """Refuse (GateClosed) unless every gate named is open; returns the override records that were used."""
    used = []
    for stage in stages:
        verdict, digest = load_verdict(stage)
        if verdict.passed:
            continue
        record = find_override(stage, digest)
        if record is None:
            raise GateClosed(_refusal(verdict))
        used.append(record)
    return tuple(used)


def load_verdict(stage: str) -> tuple[Verdict, str]:
    """The verdict of a stage and its digest; GateClosed when the file is missing, broken or edited."""
    file = DATA / stage / "verdict.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return read_verdict(content, stage=stage), content["digest"]
    except FileNotFoundError:
        raise GateClosed(f"gate {stage!r} is closed: {file} is missing; run `dvc repro {stage}`") from None
    except ValueError as error:
        raise GateClosed(
            f"gate {stage!r} is closed: {file} cannot be trusted: {error}; run `dvc repro -f -s {stage}`"
        ) from None


def find_override(stage: str, digest: str) -> dict[str, Any] | None:
    """The override record of exactly this verdict; GateClosed when a record is there and not intact."""
    file = override_file(stage, digest)
    if not file.exists():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        missing = [name for name in FIELDS if not record.get(name)]
    except (ValueError, AttributeError) as error:
        raise GateClosed(f"{file} is not an override record: {error}") from None
    if missing:
        raise GateClosed(f"{file} lacks {', '.join(missing)}: an override says who, when, why and which verdict")
    if record["stage"] != stage or record["verdict_digest"] != digest or record.get("signature") != signature(record):
        raise GateClosed(
            f"{file} was edited or is of another verdict; make it with `python -m pipelines.gates.override`"
        )
    return dict(record)


def override_file(stage: str, digest: str) -> Path:
    """Where the override record of a verdict stands."""
    return OVERRIDES / f"{stage}-{digest[:12]}.json"


def signature(record: dict[str, Any]) -> str:
    """sha256 over the fields of an override record; Git says who committed it."""
    body = {name: record[name] for name in FIELDS}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _refusal(verdict: Verdict) -> str:
    lines = [f"gate {verdict.stage!r} is closed, so nothing behind it starts:"]
    lines += [f"  {check.describe()}" for check in verdict.closed_by] or ["  it made no check at all"]
    lines.append(f"Evidence: {DATA / verdict.stage / 'verdict.json'}. Mend the cause, or record an override: ")
    lines[-1] += f"python -m pipelines.gates.override --stage {verdict.stage} --who NAME --why REASON"
    return "\n".join(lines)
