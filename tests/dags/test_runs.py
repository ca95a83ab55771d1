"""Whole runs of the light pipeline: isolated, recorded, replayable, stopped by a closed gate."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from flow import Flow
from light_repository import LIGHT, LightRepository, git
from orchestration import record
from orchestration.clone import Clone
from orchestration.operators import ApproveOperator, CommandOperator, ReleaseOperator
from orchestration.operators.approve import APPROVED_BY
from orchestration.process import marked
from orchestration.workspace import Workspace, slug

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def replay(light: LightRepository, tag: str, folder: Path) -> str:
    """Return what DVC prints for a recorded run in a fresh clone with the git remote and the DVC remote."""
    subprocess.run(["git", "clone", "--quiet", str(light.origin), str(folder)], check=True)
    git(folder, "checkout", "--quiet", tag)
    light.tool(
        "dvc", "remote", "add", "--quiet", "--local", "--default", "r", str(light.home / "dvc-remote"), folder=folder
    )
    return light.tool("dvc", "repro", "--pull", "--allow-missing", folder=folder)


def test_a_run_is_recorded_replays_elsewhere_and_has_the_lock_file_of_one_repro(light, project, tmp_path: Path) -> None:
    made = Flow(project, "manual__2025-01-01T00:00:00+00:00", {"overrides": {"ingest.rows": 12}}).do_all()
    assert made["tag"].startswith("runs/manual__2025-01-01T00-00-00-00-00-")
    assert light.registry()["champion"] == 1
    lock = git(light.origin, "show", f"{made['tag']}:dvc.lock")
    assert yaml.safe_load(git(light.origin, "show", f"{made['tag']}:params.yaml"))["ingest"]["rows"] == 12
    assert "Data and pipelines are up to date" in replay(light, made["tag"], tmp_path / "replay")
    assert git(tmp_path / "replay", "status", "--porcelain", "--untracked-files=no") == ""
    light.tool("dvc", "repro", "--force", "--no-run-cache", folder=tmp_path / "replay")
    assert (tmp_path / "replay" / "dvc.lock").read_text().strip() == lock

    plain = tmp_path / "plain"
    subprocess.run(["git", "clone", "--quiet", str(light.origin), str(plain)], check=True)
    git(plain, "checkout", "--quiet", made["tag"])
    (plain / "dvc.lock").unlink()
    light.tool("dvc", "repro", folder=plain)
    assert (plain / "dvc.lock").read_text().strip() == lock
    assert light.registry()["champion"] == 1  # a replay moves nothing
    assert not (light.home / "runs" / "work").exists() or not list((light.home / "runs" / "work").iterdir())


def test_the_same_candidate_twice_is_one_version_and_only_a_release_is_an_event(light, project) -> None:
    first, second = Flow(project, "one"), Flow(project, "two")
    first_tag = first.do_all()["tag"]
    extra = first.events[first.record.alias].added
    assert [set(event) for event in extra] == [{"revision", "tag", "version", "metrics"}]
    assert extra[0]["metrics"] == {"rows": 20}
    made = second.do_all()
    assert second.results["release"]["action"] == "keep"
    assert second.events == {}
    assert len(light.registry()["versions"]) == 1
    assert {first.results["record"]["tag"], made["tag"]} <= set(light.tags())
    assert f"released/{slug('one', 'flow')}.1" in light.tags()
    assert f"released/{slug('two', 'flow')}.1" not in light.tags()
    lock = [yaml.safe_load(git(light.origin, "show", f"{tag}:dvc.lock"))["stages"] for tag in (first_tag, made["tag"])]
    assert {name for name in lock[0] if lock[0][name] != lock[1][name]} == {"promote"}, "its champion is another one"


def test_a_closed_gate_is_red_at_once_shows_its_evidence_and_stops_the_run(light, project) -> None:
    flow = Flow(project, "closed", {"overrides": {"ingest.rows": 5}})
    with pytest.raises(AirflowFailException) as caught:
        flow.do_all()
    message = str(caught.value)
    assert "enough_rows = 5, at least 10, on 5 rows: failed" in message
    assert message.count("record: ") == 3
    assert flow.xcoms["gate", "gate"]["checks"][0]["limit"] == 10
    assert "merge" not in flow.results
    workspace = Workspace(project, "closed", dag_id="flow")
    assert workspace.tree.exists, "the workspace of a stopped run is kept"
    committed = git(workspace.path, "ls-files").splitlines()
    assert {"data/gate/verdict.json", "data/pages/gate.html"} <= set(committed), "evidence and its page are committed"
    assert not (light.home / "registry" / "registry.json").exists() or light.registry()["champion"] is None
    assert light.tags() == []
    assert marked(workspace.mark(), prefix=True) == []


def test_an_override_of_this_very_verdict_opens_the_gate(light, project) -> None:
    folder = light.origin / "data" / "overrides"
    folder.mkdir()
    (folder / "gate-d5.json").write_text(json.dumps({"stage": "gate", "who": "Ana", "why": "a small test"}))
    light.commit("let five rows pass")
    for rows in (5, 6):
        flow = Flow(project, f"overridden-{rows}", {"overrides": {"ingest.rows": rows}})
        flow.do(flow.prepare)
        flow.do(flow.stages["ingest"])
        if rows == 5:
            assert flow.do(flow.stages["gate"])["outcome"] == "changed"
        else:
            with pytest.raises(AirflowFailException, match="enough_rows = 6"):
                flow.do(flow.stages["gate"])


def test_nothing_is_recorded_of_a_run_whose_stages_were_all_skipped(light, project) -> None:
    flow = Flow(project, "skipped")
    flow.record.after = ["merge", "promote"]
    with pytest.raises(AirflowSkipException, match="nothing to record"):
        flow.record.execute(flow.context("record"))


def test_a_refused_stage_after_an_open_gate_is_final_and_a_fault_is_not(light, project, monkeypatch) -> None:
    flow = Flow(project, "faults")
    flow.do(flow.prepare)
    monkeypatch.setenv("LIGHT_STOP_AT", "ingest")
    monkeypatch.setenv("LIGHT_STOP_WITH", "64")
    with pytest.raises(AirflowFailException, match="exit code 64"):
        flow.do(flow.stages["ingest"])
    monkeypatch.setenv("LIGHT_STOP_WITH", "74")
    with pytest.raises(AirflowException, match="disk is full") as caught:
        flow.do(flow.stages["ingest"], tries=1)
    assert not isinstance(caught.value, AirflowFailException)
    monkeypatch.delenv("LIGHT_STOP_AT")
    assert flow.do(flow.stages["ingest"])["outcome"] == "changed"


def window_of(flow: Flow) -> tuple[str, str]:
    """The window in the committed parameter file of a run."""
    params = yaml.safe_load(git(Workspace(flow.project, flow.run_id, dag_id="flow").path, "show", "HEAD:params.yaml"))
    return params["ingest"]["start"], params["ingest"]["end"]


def test_a_schedules_interval_becomes_the_window_and_a_backfill_never_releases(light, project) -> None:
    end = dt.datetime(2025, 3, 10, tzinfo=dt.UTC)
    Flow(project, "champion", {"overrides": {"ingest.rows": 30}}).do_all()
    assert light.registry()["champion"] == 1
    flow = Flow(project, "backfill__2025-03-03", run_type="backfill", data_interval_end=end)
    flow.do(flow.prepare)
    assert window_of(flow) == ("2025-03-03", "2025-03-10")
    pinned = git(Workspace(project, flow.run_id, dag_id="flow").path, "show", "HEAD:data/champion.json")
    assert json.loads(pinned)["version"] is None, "it is compared with no champion"
    with pytest.raises(AirflowSkipException, match="a backfill never releases"):
        flow.release.execute(flow.context("release"))
    by_hand = Flow(project, "by-hand", {"end": "2025-02-10"}, data_interval_end=end)
    by_hand.do(by_hand.prepare)
    assert window_of(by_hand) == ("2025-02-03", "2025-02-10")
    both = Flow(project, "both", {"start": "2025-02-05", "end": "2025-02-10"})
    made = both.do(both.prepare)
    assert window_of(both) == (made["start"], made["end"]) == ("2025-02-05", "2025-02-10")
    plain = Flow(project, "plain", data_interval_end=end)
    assert "end" not in plain.do(plain.prepare)
    assert window_of(plain) == ("2025-01-06", "2025-01-13")


def test_a_cleaned_up_run_comes_back_at_its_commit(light, project, tmp_path: Path) -> None:
    flow = Flow(project, "again", {"overrides": {"ingest.seed": 5}})
    tag = flow.do_all()["tag"]
    commit = git(light.origin, "rev-parse", tag)
    (light.origin / "stage.py").write_text((light.origin / "stage.py").read_text() + "\n# changed\n")
    light.commit("the pipeline has changed since")
    shutil.rmtree(light.home / "runs")  # another host, or a lost disk
    later = Flow(project, "again", {"overrides": {"ingest.seed": 5}})
    later.do(later.prepare)
    workspace = Workspace(project, "again", dag_id="flow")
    assert workspace.tree.head == commit
    assert later.do(later.stages["merge"])["outcome"] == "unchanged"
    later.do_stages()
    assert later.do(later.release)["version"] == 1
    assert later.do(later.record)["tag"] == tag
    assert len(light.registry()["versions"]) == 1


def test_a_running_run_keeps_its_commit_and_its_graph(light, project) -> None:
    flow = Flow(project, "keeps")
    flow.do(flow.prepare)
    text = (light.origin / "dvc.yaml").read_text()
    (light.origin / "dvc.yaml").write_text(text.replace("python stage.py gate", "python stage.py nothing"))
    light.commit("broken meanwhile")
    assert [flow.do(flow.stages[name])["outcome"] for name in ("ingest", "gate")] == ["changed", "changed"]
    gone = flow.stages["gate"]
    gone.stage = "vanished"
    assert flow.do(gone)["outcome"] == "absent"


def test_a_newer_commit_than_the_dags_is_refused(light, project) -> None:
    text = (light.origin / "dvc.yaml").read_text()
    (light.origin / "dvc.yaml").write_text(text + "  more:\n    cmd: echo more\n    deps: [stage.py]\n")
    commit = light.commit("a stage more, graph not generated")
    flow = Flow(project, "newer", {"ref": commit})
    with pytest.raises(AirflowFailException, match=r"does not have: more.*make graph"):
        flow.do(flow.prepare)


@pytest.mark.parametrize(
    "text, named",
    [
        ("stages:\n  a:\n    cmd: x\n   b: c: d\n", r"dvc\.yaml(?s:.*)line 4"),
        ("stages:\n  a: {cmd: x, deps: [b], outs: [c]}\n  d: {cmd: x, deps: [c], outs: [b]}\n", "stages: .*a"),
        ("stages:\n  a:\n    cmd: ${nothing}\n", "stages.a.cmd(?s:.*)nothing"),
    ],
    ids=["yaml", "cycle", "template"],
)
def test_a_broken_pipeline_is_refused_at_once_with_its_place(light, project, text: str, named: str) -> None:
    (light.origin / "dvc.yaml").write_text(text)
    light.commit("broken")
    flow = Flow(project, "broken")
    with pytest.raises(AirflowFailException, match=named):
        flow.do(flow.prepare)


def test_a_stage_that_a_person_marked_as_successful_is_named_by_the_next(light, project) -> None:
    flow = Flow(project, "marked")
    flow.do(flow.prepare)
    with pytest.raises(AirflowFailException, match=r"split@en reads .*data/ingest/rows\.txt.*, and ingest never ran"):
        flow.do(flow.stages["split@en"], tries=1)


def test_a_release_without_a_record_is_reported_once(light, project) -> None:
    flow = Flow(project, "unrecorded")
    flow.do(flow.prepare)
    flow.do_stages()
    flow.do(flow.release)
    note = Workspace(project, "unrecorded", dag_id="flow").release_note
    assert record.unrecorded(project) == [], "its record may still be at work"
    os.utime(note, (0, 0))
    later = Flow(project, "later")
    later.do(later.prepare)
    alerts = [json.loads(line) for line in (light.home / "alerts.jsonl").read_text().splitlines()]
    assert [(alert["dag_id"], alert["run_id"]) for alert in alerts] == [("flow", "unrecorded")]
    assert record.unrecorded(project) == []
    flow.do(flow.record)
    assert not note.exists()


@pytest.mark.parametrize("ref", ["no-such-branch", "deadbee", "$(touch owned)", "--upload-pack=touch owned", "../x"])
def test_an_unknown_or_invalid_ref_changes_nothing(light, project, ref: str, tmp_path: Path) -> None:
    flow = Flow(project, "refused", {"ref": ref})
    with pytest.raises(AirflowFailException, match="ref = "):
        flow.do(flow.prepare)
    assert not Workspace(project, "refused", dag_id="flow").tree.exists
    assert not list(tmp_path.rglob("owned"))


def test_run_ids_and_overrides_are_never_shell(light, project, tmp_path: Path) -> None:
    evil = "manual__$(touch owned)'\";`touch owned`\n../../x:+é"
    flow = Flow(
        project, evil, {"overrides": {"owner": "$(touch owned); `touch owned` '\"\n-x"}, "reason": "--exec=touch owned"}
    )
    flow.do(flow.prepare)
    flow.do(flow.stages["ingest"])
    workspace = Workspace(project, evil, dag_id="flow")
    assert workspace.path.parent == light.home / "runs" / "work"
    assert not list(tmp_path.rglob("owned"))
    assert yaml.safe_load((workspace.path / "params.yaml").read_text())["owner"].startswith("$(touch owned)")


def test_an_override_that_dvc_writes_into_a_command_is_never_shell(light, project, tmp_path: Path) -> None:
    for evil in (["en", "de; touch owned"], ["en", "$(touch owned)"], ["en", "--help"], ["en", "de\ntouch owned"]):
        flow = Flow(project, "shell", {"overrides": {"langs": evil}})
        with pytest.raises(AirflowFailException, match=r"langs = .* dvc\.yaml writes it into a command"):
            flow.do(flow.prepare)
    assert not list(tmp_path.rglob("owned"))
    fewer = Flow(project, "fewer", {"overrides": {"langs": ["de"]}})  # a stage that this run does not have
    fewer.do_all()
    assert fewer.results["split_en"]["outcome"] == "absent"
    assert fewer.results["split_de"]["outcome"] == "changed"


def test_a_command_knows_who_started_its_run_and_its_asset_event_carries_its_result(light, project) -> None:
    asset = Asset("reported")
    code = "import json, os; json.dump({'who': os.environ['LIGHT_ACTOR']}, open(os.environ['LIGHT_RESULT_FILE'], 'w'))"
    code += "; print('{} and other output')"
    task = CommandOperator(task_id="report", project=project, arguments=["python", "-c", code], outlets=[asset])
    for run, who in ({"triggering_user_name": "ana"}, "ana (flow)"), ({}, "airflow (flow)"):
        flow = Flow(project, f"who-{len(run)}", **run)
        flow.do(flow.prepare)
        assert flow.do(task) == {"who": who}
        assert flow.events[asset].extra == {"who": who}


def test_a_person_who_approves_sees_what_the_run_was_asked_for_and_what_is_left_out(light, project) -> None:
    flow = Flow(project, "asked", {"overrides": {"owner": "a|b `c`"}, "end": "2025-02-10"})
    flow.do(flow.prepare)
    workspace = Workspace(project, "asked", dag_id="flow")
    (workspace.path / "long.json").write_text(json.dumps({"text": "x" * 7000}))
    given = {"decision": ("d", "a", "b"), "show": ["long.json"], "gate": ["python", "project.py", "gate"]}
    ask = ApproveOperator(task_id="ask", subject="?", project=project, **given)
    page = ask._page(workspace, {"action": "release"})
    assert "| owner | `a\\|b 'c'` |" in page
    assert "| window end | `2025-02-10` |" in page
    assert f"more characters: `git show {workspace.tree.head[:12]}:long.json`" in page


COMPARED = {
    **{"metric": "macro_f1", "test_set": "recent", "candidate": 0.8125, "rival": 0.75, "against": "champion version 3"},
    **{"difference": {"value": 0.0625, "lower": 0.0125, "upper": 0.1125}, "limit": -0.02},
}


def test_the_page_of_an_approval_begins_with_the_comparison_and_the_gates_nearest_to_their_limits(
    light, project
) -> None:
    flow = Flow(project, "top")
    flow.do(flow.prepare)
    for name in ("ingest", "gate"):
        flow.do(flow.stages[name])
    workspace = Workspace(project, "top", dag_id="flow")
    given = {"decision": ("d", "a", "b"), "show": [], "gate": ["python", "project.py", "gate"]}
    ask = ApproveOperator(task_id="ask", subject="?", project=project, **given)
    page = ask._page(
        workspace, {"action": "release", "candidate": "finetune", "champion": {"version": 3}, "comparisons": [COMPARED]}
    )
    assert page.startswith("**finetune against champion version 3**")
    assert "| macro_f1 | recent | 0.8125 | 0.75 (champion version 3) | 0.0625 (0.0125 to 0.1125) | -0.02 |" in page
    assert 0 < page.index("| nearest to its limit |") < page.index("| requested |") < page.index("### gate")


@pytest.mark.parametrize(
    "champion, title", [({"version": 3}, "version 3"), (3, "version 3"), (None, "no champion yet")]
)
def test_the_champion_of_a_decision_is_an_object_or_a_version(champion, title: str) -> None:
    from orchestration.operators.approve import _against

    assert title in _against({"candidate": "finetune", "champion": champion, "comparisons": [COMPARED]})


def test_an_approval_names_its_approvers_ends_for_good_without_an_answer_and_is_in_the_history(light, project) -> None:
    project = replace(project, approvers=("ana", "ben"))
    given = {"decision": ("d", "a", "b"), "show": [], "gate": ["x"], "response_timeout": dt.timedelta(hours=48)}
    ask = ApproveOperator(task_id="approve", subject="?", project=project, **given)
    assert [user["id"] for user in ask.assigned_users] == ["ana", "ben"] and ask.notifiers[0].kind == "approval"
    with pytest.raises(AirflowFailException, match="no answer came within 2 days"):
        ask.execute_complete({}, {"error": "no answer", "error_type": "timeout"})
    flow = Flow(project, "approved", triggering_user_name="ana")
    flow.xcoms["approve", APPROVED_BY] = "ben"
    code = "import json, os; json.dump({'who': os.environ['LIGHT_ACTOR']}, open(os.environ['LIGHT_RESULT_FILE'], 'w'))"
    flow.do(flow.prepare)
    release = ReleaseOperator(task_id="release", project=project, arguments=["python", "-c", code])
    assert flow.do(release) == {"who": "ana (flow), approved by ben"}


def test_a_command_without_a_result_is_an_error_unless_it_has_none(light, project) -> None:
    flow = Flow(project, "silent")
    flow.do(flow.prepare)
    given = {"task_id": "silent", "project": project, "arguments": ["python", "-c", "print('{\"a\": 1}')"]}
    with pytest.raises(AirflowFailException, match="LIGHT_RESULT_FILE"):
        flow.do(CommandOperator(**given))
    assert flow.do(CommandOperator(**given, result=False)) == {}


def test_only_the_location_of_a_repository_is_hidden_from_git_and_from_commands(light, project, monkeypatch) -> None:
    for name, value in {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_SSH_COMMAND": "ssh -i key"}.items():
        monkeypatch.setenv(name, value)
    flow = Flow(project, "git")
    made = flow.do(flow.prepare)
    assert made["commit"]
    names = {name for name in project.environment() if name.startswith("GIT_")}
    assert {"GIT_SSH_COMMAND", "GIT_TERMINAL_PROMPT"} <= names and not names & {"GIT_DIR", "GIT_INDEX_FILE"}


def test_a_page_that_cannot_be_rendered_fails_the_stage_and_never_hides_a_closed_gate(
    light, project, monkeypatch
) -> None:
    monkeypatch.setenv("LIGHT_STOP_AT", "page")
    for rows, error in ((20, "cannot be rendered"), (5, "enough_rows")):
        flow = Flow(project, f"page-{rows}", {"overrides": {"ingest.rows": rows}})
        flow.do(flow.prepare)
        flow.do(flow.stages["ingest"])
        with pytest.raises(AirflowException, match=error):
            flow.do(flow.stages["gate"], tries=1)


@pytest.mark.parametrize("reason", ["no\x00thing", "half a pair \ud800"])
def test_an_argument_that_cannot_be_passed_to_a_program_is_refused(light, project, reason: str) -> None:
    task = CommandOperator(task_id="back", project=project, arguments=["python", f"--reason={reason}"])
    with pytest.raises(AirflowFailException, match="cannot be passed to a program"):
        task.execute(Flow(project, "argument").context("back"))


def test_the_first_line_of_a_failure_is_the_last_line_of_the_command(light, project) -> None:
    words = "import sys; print('working'); sys.exit('the source is gone: check the address')"
    task = CommandOperator(task_id="back", project=project, arguments=["python", "-c", words])
    flow = Flow(project, "words")
    flow.do(flow.prepare)
    with pytest.raises(AirflowException) as caught:
        task.execute(flow.context("back"))
    first = str(caught.value).splitlines()[0]
    assert first == "back: python ended with exit code 1: the source is gone: check the address"
    (Workspace(project, "words", dag_id="flow").path / "stage.py").write_text(
        "raise SystemExit('no rows in the window')"
    )
    with pytest.raises(AirflowException, match=r"^ingest: dvc ended with exit code 1: no rows in the window\n"):
        flow.do(flow.stages["ingest"], tries=1)


def test_overrides_that_the_project_refuses_fail_at_once_with_its_message(light, project) -> None:
    flow = Flow(project, "unknown", {"overrides": {"ingest.rowz": 5}})
    with pytest.raises(AirflowFailException, match=r"exit code 64: light: unknown parameter ingest\.rowz"):
        flow.do(flow.prepare)
    assert Workspace(project, "unknown", dag_id="flow").prepared() is None


def test_a_ref_is_resolved_while_no_other_run_fetches(light, project, monkeypatch) -> None:
    find, seen = Clone.commit_of, []

    def find_under_the_lock(clone: Clone, ref: str) -> str:
        with (project.runs / "clone.lock").open("a") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(ref)
        return find(clone, ref)

    monkeypatch.setattr(Clone, "commit_of", find_under_the_lock)
    flow = Flow(project, "resolved")
    flow.do(flow.prepare)
    assert seen == ["HEAD"]


def test_two_runs_at_once_with_different_parameters_do_not_disturb_each_other(light, project) -> None:
    runs = {}
    for seed in (1, 2):
        conf = json.dumps({"overrides": {"ingest.seed": seed, "pace": 0.1}})
        command = [sys.executable, str(LIGHT.parent / "flow.py"), f"seed{seed}", conf]
        runs[seed] = subprocess.Popen(
            command,
            env={**light.environment},
            cwd=light.origin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    for seed, process in runs.items():
        output, _ = process.communicate()
        assert process.returncode == 0, output[-3000:]
    models = {
        git(light.origin, "show", f"runs/{slug(f'seed{seed}', 'flow')}:dvc.lock")
        .split("data/merge/model")[1]
        .split("size")[0]
        for seed in runs
    }
    assert len(models) == 2
    assert len(light.registry()["versions"]) == 2


@pytest.mark.long  # the scheduler's tests run the same in CI, with every component
def test_a_whole_dag_run_without_any_component(light) -> None:
    states, log = light.run(conf={"reason": "a test"})
    assert states.pop("run") == "success", log[-5000:]
    assert set(states.values()) == {"success"}
    assert light.registry()["champion"] == 1
    states, log = light.run("light_rollback", conf={"reason": "--not an option; $(touch owned)"})
    assert states.pop("run") == "success", log[-5000:]
    assert set(states) == {"prepare", "rollback", "cleanup"}
    assert light.registry()["champion"] is None
    assert light.registry()["reason"] == "--not an option; $(touch owned)"
