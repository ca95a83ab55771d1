"""The private state root that tests/conftest.py gives every test, and what is in it."""

import os
from pathlib import Path


def state_root() -> Path:
    """Return the state root of the running test."""
    return Path(os.environ["PERENNIAL_HOME"])


def live_folder(model: str = "perennial-complaints") -> Path:
    """Return the live folder of a registered model below it."""
    return state_root() / "live" / model
