"""Print the state root of this checkout; any Python 3 runs it, before an environment exists."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT))

from pipelines.runtime.errors import PerennialError  # noqa: E402  the path comes first
from pipelines.runtime.state_root import state_root  # noqa: E402


def find() -> Path:
    """Return the state root; ends the program with one sentence where a variable names it wrongly."""
    try:
        return state_root(ROOT, os.environ)
    except PerennialError as error:
        sys.exit(f"set-up: {error}")


if __name__ == "__main__":
    print(find())
