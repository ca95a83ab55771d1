"""Record that a person lets a closed gate pass: `python -m pipelines.gates.override --stage S --who W --why R`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.gates.status import DATA, load_verdict, override_file, signature
from pipelines.runtime.errors import GateClosed, ParamsError, PerennialError
from pipelines.runtime.params import read_yaml
from pipelines.runtime.state import write_atomic
from pipelines.runtime.store import to_json


def record_override(*, stage: str, who: str, when: str, why: str) -> str:
    """Write the override record of the stage's present verdict and return its path."""
    verdict, digest = load_verdict(stage)
    if verdict.passed:
        raise GateClosed(f"gate {stage!r} is open; there is nothing to override")
    if not who.strip() or len(why.strip()) < 10:
        raise GateClosed(f"an override needs a name and a reason of ten letters or more; found {who!r}, {why!r}")
    record = {
        "stage": stage,
        "verdict_digest": digest,
        "who": who,
        "when": when,
        "why": why,
        "checks": [check.name for check in verdict.closed_by] or ["no check was made"],
    }
    record["signature"] = signature(record)
    file = override_file(stage, digest)
    write_atomic(file, to_json(record))
    return str(file)


def require_closed(stage: str) -> None:
    """Refuse what is no gate (ParamsError) and a gate that is open (GateClosed), with the gates that there are."""
    names = gates(read_yaml(Path("dvc.yaml")))
    if stage not in names:
        raise ParamsError(f"there is no gate {stage!r}. Gates: {_said(names)}")
    if load_verdict(stage)[0].passed:
        raise GateClosed(f"gate {stage!r} is open; there is nothing to override. Gates: {_said(names)}")


def gates(pipeline: Mapping[str, Any]) -> list[str]:
    """Stages of a `dvc.yaml` that write a verdict, in its order."""
    return [
        name for name, stage in pipeline["stages"].items() if f"data/{name}/verdict.json" in str(stage.get("metrics"))
    ]


def _said(names: Sequence[str]) -> str:
    """Each gate, and whether a verdict of it is open or closed; one that cannot be trusted is closed."""
    said = []
    for name in names:
        state = "closed" if (DATA / name / "verdict.json").exists() else "no verdict"
        with contextlib.suppress(GateClosed):
            state = "open" if load_verdict(name)[0].passed else state
        said.append(f"{name} ({state})")
    return ", ".join(said)


def main(arguments: list[str] | None = None) -> int:
    """Command line of the override record."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.gates.override", description=__doc__)
    for name in ("stage", "who", "why"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args(arguments)
    try:
        require_closed(given.stage)
        file = record_override(
            stage=given.stage, who=given.who, why=given.why, when=datetime.now(UTC).isoformat(timespec="seconds")
        )
    except PerennialError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"override": file, "next": f"git add {file}; commit it; dvc repro"}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
