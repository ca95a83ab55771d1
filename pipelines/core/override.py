"""Record that a person lets a closed gate pass: `python -m pipelines.core.override --stage S --who W --why R`."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from pipelines.core.errors import GateClosed, PerennialError
from pipelines.core.gates import load_verdict, override_file, signature
from pipelines.core.state import write_atomic
from pipelines.core.store import to_json


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


def main(arguments: list[str] | None = None) -> int:
    """Command line of the override record."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.core.override", description=__doc__)
    for name in ("stage", "who", "why"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args(arguments)
    try:
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
