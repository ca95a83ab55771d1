"""One whole run, shared by every test of this folder: none of them changes what it left."""

import pytest

from tests.factories.checkout import Checkout, output_of


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A checkout after one `python -m pipelines run`: version 1 is champion; `.first` is its result."""
    checkout = Checkout(tmp_path_factory.mktemp("smoke")).make()
    checkout.first = checkout.release("run", "--params", str(checkout.overlay))
    assert checkout.first.returncode == 0, output_of(checkout.first)
    return checkout
