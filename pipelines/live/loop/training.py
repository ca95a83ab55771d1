"""Train in the scenario's checkout with the command that a person runs; its output goes to a log file."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.live.loop.checkout import commit
from pipelines.runtime.errors import PerennialError
from pipelines.runtime.overrides import set_parameters
from pipelines.runtime.project import Project

STAGE = re.compile(r"^Running stage '([a-z_]+)'")
SHOWN_LINES = 8


def train(
    project: Project, *, start: date, end: date, log: Path, report: Callable[[str], None], why: str
) -> dict[str, Any]:
    """Pin, `dvc repro` and apply in the scenario's checkout on the window [start, end); return promote's decision.

    Raises PerennialError, with the last lines of the log, when the command fails.
    """
    root, days = project.root, {"start": start.isoformat(), "end": end.isoformat()}
    set_parameters(root, {}, environment=project.environment, **days)
    commit(root, f"Train on [{start}, {end}): {why}")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pipelines", "run"]
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            file.flush()
            if found := STAGE.match(line):
                report(f"training: {found[1]}")
        code = process.wait()
    commit(root, f"Trained on [{start}, {end})")
    if code:
        shown = "\n".join(reason_of(log.read_text(encoding="utf-8").splitlines()))
        raise PerennialError(
            f"the training on [{start}, {end}) failed with exit code {code}; the end of {log}:\n{shown}"
        )
    decision: dict[str, Any] = json.loads((root / "data" / "promote" / "decision.json").read_text(encoding="utf-8"))
    return decision


def reason_of(lines: list[str]) -> list[str]:
    """Return the lines up to DVC's first `ERROR:`, which name the cause; without one, the last lines."""
    last = next((number for number, line in enumerate(lines, start=1) if line.startswith("ERROR:")), len(lines))
    return lines[max(0, last - SHOWN_LINES) : last]
