"""Two `dvc repro` at once in one checkout: the second reports the lock, the first is not disturbed."""

from __future__ import annotations

import subprocess

import pytest

from tests.factories.checkout import Checkout, output_of


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_second_run_reports_the_lock(tmp_path) -> None:
    checkout = Checkout(tmp_path).make()
    assert checkout.release("pin").returncode == 0
    first = subprocess.Popen(
        checkout.command("dvc", "repro", "ingest"),
        cwd=checkout.root,
        env=checkout.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in first.stdout:
        lines.append(line)
        if "python -m pipelines.stages.ingest" in line:
            break
    second = checkout.dvc("repro", "ingest")
    rest = first.communicate()[0]
    assert first.returncode == 0, "".join(lines) + rest
    if second.returncode == 0:  # it came after the first had ended
        assert "didn't change" in second.stdout, output_of(second)
        pytest.skip("the first run was over before the second one started")
    text = " ".join((second.stdout + second.stderr).split())
    assert "lock" in text or "busy" in text, output_of(second)
    assert "Traceback" not in text
    again = checkout.dvc("repro", "ingest")
    assert again.returncode == 0 and "Running stage" not in again.stdout, output_of(again)
