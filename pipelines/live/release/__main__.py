"""Act on the registry: `python -m pipelines.live.release pin|apply|run|rollback|history|verify|summary|ui`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from pipelines.runtime.errors import GateClosed, PerennialError
from pipelines.runtime.ports import port_of, require_free


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a known error is one message on stderr and its own exit code."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="release: %(message)s", force=True)
    for noisy in ("httpx", "urllib3", "alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        given = _parser().parse_args(arguments)
        return int(given.command(given) or 0)
    except PerennialError as error:
        sys.stderr.write(f"release: {error}\n")
        return error.exit_code


def _pin(given: argparse.Namespace) -> None:
    from pipelines.live.release.job import check
    from pipelines.live.release.moves import decisions_made
    from pipelines.live.release.pin import pin

    check(Path.cwd())  # a run begins here, on a laptop and in Airflow: what would stop its last stage stops it now
    registry = _registry()
    pin(registry, root=Path.cwd(), decisions_used=decisions_made(registry.model_name))


def _apply(given: argparse.Namespace) -> None:
    _say(_applied(again=given.again))


def _run(given: argparse.Namespace) -> int:
    from pipelines.live.release import job
    from pipelines.live.release.summary import closed_gates, show_summary
    from pipelines.reporting.pages import write_pages
    from pipelines.runtime.store import Store

    began = time.monotonic()
    root = Path.cwd()
    for line in job.prepare(root, params=given.params, start=given.start, end=given.end):
        logging.info("params.yaml: %s", line)
    _pin(given)
    code = job.reproduce(root)
    outcome, exit_code = None, 0
    try:
        outcome = _applied() if code == 0 else None
    except PerennialError as error:
        outcome, exit_code = {"action": "stop", "reason": str(error)}, error.exit_code
    stale = job.stale_stages(root) if outcome is None else set()
    write_pages(Store(root / "data"), stale=stale)
    show_summary(root, outcome=outcome, seconds=time.monotonic() - began, stale=stale)
    if outcome is None:
        return GateClosed.exit_code if closed_gates(root, stale=stale) else 1
    return GateClosed.exit_code if outcome["action"] == "refuse" else exit_code


def _rollback(given: argparse.Namespace) -> None:
    from pipelines.live.release.moves import rollback

    _say(rollback(_registry(), reason=given.reason))


def _history(given: argparse.Namespace) -> None:
    from pipelines.live.release.history import read_history
    from pipelines.live.release.params import model_name
    from pipelines.live.release.summary import show_history

    moves = read_history(model_name())
    if given.json:
        _say(moves)
    else:
        show_history(moves)


def _verify(given: argparse.Namespace) -> None:
    from pipelines.live.release.history import read_history
    from pipelines.live.release.registry import CHAMPION

    registry = _registry()
    moves = read_history(registry.model_name)
    version = registry.alias(CHAMPION)
    if version is not None:
        registry.package(version)
    _say({"history_lines": len(moves), "champion": version, "intact": True})


def _summary(given: argparse.Namespace) -> None:
    from pipelines.live.release.job import stale_stages
    from pipelines.live.release.summary import show_summary

    root = Path.cwd()
    show_summary(root, outcome=None, seconds=None, stale=stale_stages(root))


def _ui(given: argparse.Namespace) -> None:
    from pipelines.runtime.state import home, tracking_uri

    require_free("127.0.0.1", port=given.port)
    artifacts = home() / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", tracking_uri()]
    command += ["--default-artifact-root", artifacts.as_uri(), "--host", "127.0.0.1", "--port", str(given.port)]
    os.execv(command[0], command)  # noqa: S606  an argument list, no shell


def _applied(*, again: bool = False) -> dict[str, Any]:
    from pipelines.live.release.moves import apply
    from pipelines.live.release.params import load_release_params
    from pipelines.records.domain import load_domain

    return apply(_registry(), domain=load_domain(), params=load_release_params(), root=Path.cwd(), again=again)


def _registry() -> Any:
    from pipelines.live.release.params import model_name
    from pipelines.live.release.registry import Registry

    return Registry(model_name())


def _say(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.live.release", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        command.set_defaults(command=function)
        return command

    add("pin", _pin, "write data/champion.json and data/champion/ from the registry")
    carry_out = add("apply", _apply, "carry out the decision in data/promote/")
    carry_out.add_argument("--again", action="store_true", help="release a version that was rolled back once more")
    run = add("run", _run, "pin, dvc repro, apply, summary")
    run.add_argument("--start", help="first day of the window, ISO")
    run.add_argument("--end", help="day after the last day of the window, ISO")
    run.add_argument("--params", help="a YAML file laid over params.yaml")
    rollback = add("rollback", _rollback, "back to the last champion")
    rollback.add_argument("--reason", required=True, help="why, for the history")
    history = add("history", _history, "who moved the champion alias, when and why")
    history.add_argument("--json", action="store_true", help="as JSON")
    add("verify", _verify, "check the history's chain and every artifact of the champion")
    add("summary", _summary, "show the summary of the last run again")
    ui = add("ui", _ui, "MLflow's pages on the loopback interface")
    ui.add_argument("--port", type=port_of, default=5000, help="port")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
