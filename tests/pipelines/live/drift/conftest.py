"""The profile of made-up complaints, built once."""

import pytest

from tests.factories import drift_toy


@pytest.fixture(scope="session")
def profile():
    return drift_toy.profile()
