"""Answer requests, compact the log, look at the canary: `python -m pipelines.live.serve run|compact|canary`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from datetime import UTC, date, datetime
from typing import Any

from pipelines.runtime.days import day_of
from pipelines.runtime.errors import PerennialError
from pipelines.runtime.ports import port_of, require_free


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="serve: %(message)s", force=True)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m pipelines.live.serve", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="answer requests until SIGTERM")
    run.add_argument("--host", default="127.0.0.1", help="default: the loopback interface only")
    run.add_argument("--port", type=port_of, help="default: params.yaml: serve.port")
    commands.add_parser("compact", help="make predictions/day=... of the finished part of the log")
    canary = commands.add_parser("canary", help="look once at the canary: stop it, complete it, or leave it")
    canary.add_argument("--today", type=day_of("TODAY"), help="UTC day of the look; default: by the clock")
    try:
        given = parser.parse_args(arguments)
        if given.command == "run":
            answer_requests(host=given.host, port=given.port)
            return 0
        answer = compact() if given.command == "compact" else look(given.today or datetime.now(UTC).date())
    except PerennialError as error:
        sys.stderr.write(f"serve: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(answer, indent=2, sort_keys=True) + "\n")
    return 0


def answer_requests(*, host: str, port: int | None) -> None:
    """Serve until SIGTERM, where the port can be had."""
    from pipelines.live.serve.params import ServeParams
    from pipelines.runtime.params import load_params

    port = port or load_params("serve", ServeParams).port
    require_free(host, port=port)
    from pipelines.live.serve.service import run  # only now: torch takes seconds

    run(host=host, port=port)


def compact() -> dict[str, int]:
    """Move the lines of finished segments to the predictions."""
    from pipelines.live.serve import journal
    from pipelines.live.serve.service import journal_folder
    from pipelines.records.domain import load_domain

    return journal.compact(journal_folder(), schema=load_domain().schema)


def look(today: date) -> dict[str, Any]:
    """Compact the log, then one look at the canary."""
    from pipelines.live.release.params import model_name
    from pipelines.live.release.registry import Registry
    from pipelines.live.serve import trial
    from pipelines.live.serve.params import ServeParams
    from pipelines.runtime.params import load_params

    compact()
    return trial.look(Registry(model_name()), params=load_params("serve", ServeParams).canary, today=today)


if __name__ == "__main__":
    raise SystemExit(main())
