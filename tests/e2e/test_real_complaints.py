"""Real complaints through every stage with examples/cfpb_complaints.yaml: an outcome, or a closed gate with its
reason.
"""

from __future__ import annotations

import pytest

from tests.factories.checkout import Checkout, output_of

pytestmark = [pytest.mark.realdata, pytest.mark.e2e, pytest.mark.timeout(3600)]
OVERLAY = "examples/cfpb_complaints.yaml"
GATES = ("ingest", "dedupe", "split", "label", "bias_gate", "evaluate", "promote")


@pytest.mark.slow
def test_every_check_up_to_the_bias_gate(tmp_path, real_data) -> None:
    check_gated_data(run_to(Checkout(tmp_path).make(), real_data, stage="bias_gate"))


@pytest.mark.long
@pytest.mark.model
def test_the_whole_run(tmp_path, real_data) -> None:
    checkout = Checkout(tmp_path).make()
    answer = checkout.release("run", "--params", OVERLAY, PERENNIAL_DATA=str(real_data))
    print(output_of(answer))
    assert answer.returncode in (0, 65), output_of(answer)
    assert "Traceback" not in answer.stdout + answer.stderr, output_of(answer)
    check_gated_data(checkout)
    reached = [stage for stage in GATES if (checkout.root / f"data/{stage}/verdict.json").exists()]
    closed = [stage for stage in reached if not passed(checkout, stage)]
    if answer.returncode == 65:
        assert closed, output_of(answer)
        for check in (check for stage in closed for check in closing(checkout, stage)):
            assert check["name"] in answer.stdout, output_of(answer)
    else:
        assert checkout.json("data/promote/decision.json")["action"] in ("release", "keep")
        assert not closed


def run_to(checkout: Checkout, real_data, *, stage: str) -> Checkout:
    """Apply the example to params.yaml as `make run` does, and reproduce up to a stage."""
    from pipelines.runtime.overrides import edit_file, read_overrides

    edit_file(checkout.root / "params.yaml", read_overrides(checkout.root / OVERLAY))
    pinned = checkout.release("pin")
    assert pinned.returncode == 0, output_of(pinned)
    answer = checkout.dvc("repro", stage, PERENNIAL_DATA=str(real_data))
    assert answer.returncode == 0, output_of(answer)
    return checkout


def check_gated_data(checkout: Checkout) -> None:
    """Check the known facts about these 12,689 rows."""
    rows = checkout.metrics("ingest")["rows"]
    assert rows["read"] == 12_689 == sum(count for name, count in rows.items() if name != "read")
    assert rows["accepted"] == 2_020
    label = checkout.metrics("label")
    assert label["kappa"] > 0.7 and label["coverage"] > 0.75
    assert label["kappa_low"] < label["kappa"] < label["kappa_high"]
    assert all(passed(checkout, stage) for stage in ("ingest", "dedupe", "split", "label", "bias_gate"))
    # Too few older Americans, and too few rows of the rare products: undecided, neither passed nor failed.
    assert outcomes(checkout, "bias_gate")["coverage:older_american"] == "undecided"
    assert outcomes(checkout, "bias_gate")["coverage:servicemember"] == "passed"
    assert outcomes(checkout, "label")["class_coverage:payday_personal_loan"] == "undecided"
    assert outcomes(checkout, "split")["recent_class_rows"] == "undecided"


def outcomes(checkout: Checkout, stage: str) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in checkout.json(f"data/{stage}/verdict.json")["checks"]}


def passed(checkout: Checkout, stage: str) -> bool:
    return checkout.json(f"data/{stage}/verdict.json")["passed"]


def closing(checkout: Checkout, stage: str) -> list[dict]:
    checks = checkout.json(f"data/{stage}/verdict.json")["checks"]
    return [
        check
        for check in checks
        if check["outcome"] == "failed" or (check["outcome"] == "undecided" and check["required"])
    ]
