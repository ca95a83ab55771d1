"""Train in the story's checkout: the same command that a person or the scheduler runs, its output in a log."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.core.errors import PerennialError
from pipelines.loop.checkout import commit
from pipelines.release.job import lay_over, window

STAGE = re.compile(r"^Running stage '([a-z_]+)'")
SHOWN_LINES = 15


def train(*, start: date, end: date, log: Path, say: Callable[[str], None], why: str) -> dict[str, Any]:
    """Pin, `dvc repro` and apply on a window; returns promote's decision. PerennialError with the log's end if not."""
    root = Path.cwd()
    lay_over(root, window(start.isoformat(), end.isoformat()))
    commit(root, f"Train on [{start}, {end}): {why}")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pipelines.release", "run"]
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            file.flush()
            if found := STAGE.match(line):
                say(f"training: {found[1]}")
        code = process.wait()
    commit(root, f"Trained on [{start}, {end})")
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-SHOWN_LINES:])
        raise PerennialError(f"the training on [{start}, {end}) ended with exit code {code}; {log} ends with:\n{tail}")
    decision: dict[str, Any] = json.loads((root / "data" / "promote" / "decision.json").read_text(encoding="utf-8"))
    return decision
