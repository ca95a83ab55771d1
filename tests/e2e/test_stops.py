"""Runs that do not end with a release: their exit code, their summary, and what they leave unchanged."""

import re

import pytest
import yaml

from tests.factories.checkout import Checkout, output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A fresh checkout with its own state root."""
    return Checkout(tmp_path_factory.mktemp("stops")).make()


def override_file(checkout, **changes):
    """Return a file with the overrides of the smoke run and further changes."""
    content = yaml.safe_load(checkout.overlay.read_text())
    for section, values in changes.items():
        content[section] = {**content.get(section, {}), **values} if isinstance(values, dict) else values
    file = checkout.home / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    return str(file)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--params", "FILE"], r"dedup\b"),
        (["--params", "nowhere.yaml"], r"nowhere\.yaml"),
        (["--params", ""], "PARAMS"),
        (["--start", "2025-02-30", "--end", "2025-03-10"], "2025-02-30"),
        (["--start", "2025-03-10", "--end", "2025-03-03"], "2025-03-10.*2025-03-03"),
        (["--start", "2025-03-03"], "END"),
        (["--start", "", "--end", ""], "END"),
    ],
)
def test_invalid_arguments_change_nothing(checkout, words, named):
    before = (checkout.root / "params.yaml").read_bytes()
    file = override_file(checkout, dedup={"threshold": 0.9})
    answer = checkout.release("run", *[file if word == "FILE" else word for word in words])
    assert answer.returncode == 64, output_of(answer)
    assert re.search(named, answer.stderr), output_of(answer)
    assert "Traceback" not in answer.stderr
    assert (checkout.root / "params.yaml").read_bytes() == before


def test_parameters_of_late_stages_are_refused_before_anything_starts(checkout):
    before = (checkout.root / "params.yaml").read_bytes()
    answer = checkout.release(
        "run", "--params", override_file(checkout, dedupe={"min_rows": -1}, promote={"margin": 2})
    )
    assert answer.returncode == 64, output_of(answer)
    assert all(name in answer.stderr for name in ("dedupe.min_rows", "promote.margin")), output_of(answer)
    assert "Running stage" not in answer.stdout
    assert (checkout.root / "params.yaml").read_bytes() == before


BREAKS = """

@labeling_function(label="mortgage", fires_on="a", abstains_on="b")
def breaks(record):
    raise ValueError("broken on purpose")
"""


def test_a_file_of_the_domain_that_cannot_be_imported_starts_nothing(checkout):
    labels = checkout.root / "pipelines/domains/complaints/labeling_functions.py"
    before = labels.read_text(encoding="utf-8")
    labels.write_text("import nowhere\n", encoding="utf-8")
    answer = checkout.release("run", "--params", str(checkout.overlay))
    labels.write_text(before, encoding="utf-8")
    assert answer.returncode == 66, output_of(answer)
    assert "labeling_functions.py" in answer.stderr and "ModuleNotFoundError" in answer.stderr, output_of(answer)
    assert "Running stage" not in answer.stdout


def test_a_stage_that_fails_stops_the_run(checkout):
    labels = checkout.root / "pipelines/domains/complaints/labeling_functions.py"
    before = labels.read_text(encoding="utf-8")
    labels.write_text(before + BREAKS, encoding="utf-8")
    answer = checkout.release("run", "--params", str(checkout.overlay))
    labels.write_text(before, encoding="utf-8")
    assert answer.returncode == 1, output_of(answer)
    assert "broken on purpose" in answer.stderr
    assert checkout.release("history", "--json").stdout.strip() == "[]"
    assert re.search(r"split\s+open", answer.stdout)
    assert re.search(r"label\s+not reached", answer.stdout)
