"""What a command hands back to its caller: JSON on stdout for people, and a file for an orchestrator."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pipelines.runtime.state import write_atomic

RESULT_VARIABLE = "PERENNIAL_RESULT_FILE"


def report(result: Any) -> None:
    """Print a command's result as JSON, and write it to the file that `PERENNIAL_RESULT_FILE` names, if it is set.

    An orchestrator sets the variable and reads the file: output is for people, and other lines may be mixed in.
    """
    text = json.dumps(result, indent=2, sort_keys=True, default=str) + "\n"
    file = os.environ.get(RESULT_VARIABLE)
    if file:
        write_atomic(Path(file), text.encode())
    sys.stdout.write(text)
