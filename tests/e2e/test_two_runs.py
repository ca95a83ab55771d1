"""Two `dvc repro` at once in one checkout: the second reports the lock, the first is not disturbed."""

from __future__ import annotations

import subprocess

import pytest

from tests.factories.checkout import Checkout, output_of, stages_run

INGEST = "python -m pipelines.stages.ingest"


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_second_run_reports_the_lock(tmp_path) -> None:
    checkout = Checkout(tmp_path).make()
    assert checkout.release("pin").returncode == 0
    go = tmp_path / "go"
    wait = f"until [ -e {go} ]; do sleep 0.1; done; "  # the first run lasts until the second one has ended
    checkout.edit("dvc.yaml", lambda graph: graph["stages"]["ingest"].update(cmd=wait + INGEST))
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
        if line.startswith("> ") and INGEST in line:
            break
    second = checkout.dvc("repro", "ingest")
    assert first.poll() is None, "".join(lines)
    go.touch()
    rest = first.communicate()[0]
    assert first.returncode == 0, "".join(lines) + rest
    assert second.returncode != 0, output_of(second)
    text = " ".join((second.stdout + second.stderr).split())
    assert "lock" in text or "busy" in text, output_of(second)
    assert "Traceback" not in text
    again = checkout.dvc("repro", "ingest")
    assert again.returncode == 0 and stages_run(again) == ["source"], output_of(again)
