"""YouTube comments through every stage: another domain is one folder and one changed line."""

from __future__ import annotations

import pytest

from tests.factories.checkout import Checkout, output_of

pytestmark = [pytest.mark.realdata, pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A checkout in which only one line was changed."""
    made = Checkout(tmp_path).make()
    params = made.root / "params.yaml"
    lines = params.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.startswith("domain:"))
    lines[place] = "domain: tests/domains/youtube_spam\n"
    params.write_text("".join(lines), encoding="utf-8")
    assert made.git("diff", "--numstat", "--", ":!*.lock") == "1\t1\tparams.yaml"
    pinned = made.release("pin")
    assert pinned.returncode == 0, output_of(pinned)
    return made


@pytest.mark.slow
def test_gated_data(checkout, real_data) -> None:
    answer = checkout.dvc("repro", "bias_gate", PERENNIAL_DATA=str(real_data))
    assert answer.returncode == 0, output_of(answer)
    check_gated_data(checkout)


@pytest.mark.long
@pytest.mark.model
def test_every_stage(checkout, real_data) -> None:
    answer = checkout.dvc("repro", PERENNIAL_DATA=str(real_data))
    assert answer.returncode == 0, output_of(answer)
    check_gated_data(checkout)
    evaluated = checkout.json("data/evaluate/verdict.json")
    assert evaluated["passed"], evaluated
    assert checkout.json("data/promote/decision.json")["action"] == "release"
    metrics = checkout.metrics("evaluate")
    print({name: metrics[name]["recent"]["macro_f1"] for name in ("baseline", "finetune")})
    assert metrics[metrics["choice"]["candidate"]]["recent"]["macro_f1"] > 0.8


def check_gated_data(checkout: Checkout) -> None:
    """Check the known facts: five files with 1,961 comments, 245 of them without a date.

    A quote that nothing closes glues six lines of one file into one comment for most readers, which then count 1,956;
    the last of these lines has broken quotes itself and is rejected.
    """
    rows = checkout.metrics("ingest")["rows"]
    assert (rows["read"], rows["rejected"]) == (1_961, 245 + 1)
    label = checkout.metrics("label")
    assert label["kappa_low"] > 0.85 and label["coverage"] > 0.8
    for stage in ("ingest", "dedupe", "split", "label", "bias_gate"):
        assert checkout.json(f"data/{stage}/verdict.json")["passed"], stage
    checks = checkout.json("data/bias_gate/verdict.json")["checks"]
    assert [check["name"] for check in checks] == ["protected_attributes"]
    assert "a pen name and nothing else" in checks[0]["sentence"]
