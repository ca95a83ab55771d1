"""The toy world, made once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import toy


@pytest.fixture(scope="session")
def profile():
    return toy.profile()
