"""Gates close on the faults they exist for, through DVC, and open when the cause is fixed."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.factories.checkout import Checkout, output_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]
BIASED, SHIPPED = "tests/domains/complaints_biased", "pipelines/domains/complaints"


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """Twenty weeks of the shipped stream, with the shipped parameters."""
    made = Checkout(tmp_path).make()
    for domain in (BIASED, SHIPPED):
        made.edit(f"{domain}/params.yaml", lambda params: params["simulator"].update(rows_per_day=40))
    made.edit("params.yaml", lambda params: params["ingest"].update(start="2025-01-06", end="2025-05-26"))
    pinned = made.release("pin")
    assert pinned.returncode == 0, output_of(pinned)
    return made


def use(checkout: Checkout, domain: str) -> None:
    checkout.edit("params.yaml", lambda params: params.update(domain=domain))


def failed(checkout: Checkout, stage: str) -> dict[str, dict]:
    checks = checkout.json(f"data/{stage}/verdict.json")["checks"]
    return {check["name"]: check for check in checks if check["outcome"] == "failed"}


def test_biased_functions_close_the_bias_gate_and_fixed_ones_open_it(checkout) -> None:
    use(checkout, BIASED)
    for _ in range(2):  # a second run is stopped by the same gate
        answer = checkout.release("run")
        assert answer.returncode == 65, output_of(answer)
    closed = failed(checkout, "bias_gate")
    assert re.search(r"bias_gate\s+closed", answer.stdout), output_of(answer)
    assert re.search(r"baseline|evaluate\s+not reached", answer.stdout)
    assert all(name in answer.stdout for name in closed), output_of(answer)
    assert "bias_gate" in answer.stderr and "Traceback" not in answer.stderr, output_of(answer)
    assert checkout.release("history", "--json").stdout.strip() == "[]"
    assert not checkout.json("data/bias_gate/verdict.json")["passed"]
    for attribute, group, function in (
        ("older_american", "older American", "sounds_old_fashioned"),
        ("servicemember", "servicemember", "sounds_military"),
    ):
        found = [check for name, check in closed.items() if name.endswith(f":{attribute}")]
        assert found, (attribute, sorted(closed))
        assert all(group in check["sentence"] for check in found)
        assert any(function in str(check) for check in found), found
    behind = checkout.run("python", "-m", "pipelines.stages.baseline")
    assert behind.returncode == 65, output_of(behind)
    assert "bias_gate" in behind.stderr and "Traceback" not in behind.stderr

    use(checkout, SHIPPED)
    answer = checkout.dvc("repro", "bias_gate")
    assert answer.returncode == 0, output_of(answer)
    verdict = checkout.json("data/bias_gate/verdict.json")
    assert verdict["passed"], failed(checkout, "bias_gate")
    assert {check["outcome"] for check in verdict["checks"] if check["required"]} == {"passed"}


def test_a_column_that_leaks_the_label_closes_split(checkout) -> None:
    leaky = checkout.root / "leaky"
    shutil.copytree(checkout.root / SHIPPED, leaky)
    schema = leaky / "schema.py"
    code = schema.read_text(encoding="utf-8")
    for old, new in (
        (
            'Feature("channel", kind="category"),',
            'Feature("channel", kind="category"), Feature("desk", kind="category"),',
        ),
        (
            '"channel": _column(raw, "submitted_via"),',
            '"channel": _column(raw, "submitted_via"), "desk": gold.str[:3],',
        ),
    ):
        assert code.count(old) == 1
        code = code.replace(old, new)
    schema.write_text(code, encoding="utf-8")
    use(checkout, "leaky")
    answer = checkout.dvc("repro", "split")
    assert answer.returncode == 0, output_of(answer)
    assert set(failed(checkout, "split")) == {"leak_desk", "giveaways"}
    stopped = checkout.dvc("repro", "label")
    assert stopped.returncode != 0
    assert "leak_desk" in stopped.stdout + stopped.stderr, output_of(stopped)
