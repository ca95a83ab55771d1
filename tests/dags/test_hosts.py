"""A run on two hosts that share nothing but git and the DVC remote: the same command, with `--pull`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from flow import Flow
from light_repository import git
from orchestration.workspace import slug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_stages_of_one_run_on_two_hosts(light, project, tmp_path: Path) -> None:
    here = replace(project, distributed=True)
    home = tmp_path / "second-host"
    there = replace(here, home=home, exported={"LIGHT_HOME": str(light.home)})  # the registry is a server for both
    one, two = Flow(here, "hosts"), Flow(there, "hosts")
    one.do(one.prepare)
    two.do(two.stages["ingest"])
    with ThreadPoolExecutor(2) as pool:  # both change dvc.lock at once
        left = pool.submit(one.do, one.stages["split@en"])
        right = pool.submit(two.do, two.stages["split@de"])
        assert {left.result()["stage"], right.result()["stage"]} == {"split@en", "split@de"}
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(flow.do, flow.stages[f"train@{lang}-2"]) for flow, lang in ((one, "de"), (two, "en"))]
        assert [job.result()["outcome"] for job in jobs] == ["changed", "changed"]
    for flow, name in ((one, "gate"), (two, "merge"), (one, "promote")):
        assert flow.do(flow.stages[name])["outcome"] == "changed"
    assert one.do(one.release)["version"] == 1
    one.do(one.record)
    one.do(one.cleanup)
    two.do(two.cleanup)
    lock = git(light.origin, "show", f"runs/{slug('hosts', 'flow')}:dvc.lock")
    assert not (home / "registry").exists()
    plain = tmp_path / "plain"
    git(tmp_path, "clone", "--quiet", str(light.origin), str(plain))
    git(plain, "checkout", "--quiet", f"tags/runs/{slug('hosts', 'flow')}.1")
    (plain / "dvc.lock").unlink()
    light.tool("dvc", "repro", folder=plain)
    assert (plain / "dvc.lock").read_text().strip().splitlines() == lock.splitlines()
