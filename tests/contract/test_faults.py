"""docs/faults.md names tests that exist."""

import re

from tests.conftest import ROOT

ROWS = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("| ")][2:]


def test_every_kind_names_its_mechanism_and_tests_that_exist():
    for row in ROWS:
        kind, mechanism, tests = (cell.strip() for cell in row.strip("|").split("|"))
        assert kind and mechanism, row
        files = re.findall(r"`(tests/[\w./-]+)`", tests)
        assert files, row
        for file in files:
            assert (ROOT / file).exists(), f"{file} is missing: {row}"
