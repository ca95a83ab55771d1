"""Notifications reach a receiver whole, and an address that fails stops nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from orchestration import alerts
from orchestration.operators.approve import ASKED
from orchestration.project import Project
from receiver import Receiver, receiving

pytestmark = pytest.mark.enable_socket
LONG = "gate label is closed by kappa = 0.1\n" + "\n".join(f"record {number}: text" for number in range(200))


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, receiver: Receiver) -> Project:
    (tmp_path / "params.yaml").write_text("owner: ana@example.com\n")
    made = Project(root=tmp_path, home=tmp_path, origin="", tools=tmp_path, dvc_remote="", prefix="LIGHT")
    return replace(made, alert_address=receiver.address)


def context(**more: Any) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", xcom_pull=lambda task_ids: more.pop("result", None))
    return {"ti": ti, "dag_run": SimpleNamespace(dag_id="d", run_id="r"), **more}


def test_a_failure_is_sent_whole_with_its_owner(project: Project, receiver: Receiver) -> None:
    alerts.on_failure(project)(context(exception=RuntimeError(LONG)))
    (message,) = receiver.messages
    assert message["message"].startswith("d.t: gate label") and "record 199: text" in message["message"]
    assert "ana@example.com" in message["message"] and message["title"].startswith("light failed: d.t: gate label")
    (line,) = (project.home / "alerts.jsonl").read_text().splitlines()
    assert json.loads(line)["message"] == f"d.t: {LONG}"


def test_a_result_fills_the_message_of_a_success(project: Project, receiver: Receiver) -> None:
    notifier = alerts.OwnerNotifier(project=project, kind="rollback", message="champion {previous} -> {version}")
    notifier(context(result={"previous": 3, "version": 2}))
    assert receiver.messages[0]["message"].startswith("champion 3 -> 2")


def test_an_approval_that_waits_is_sent_with_its_page(project: Project, receiver: Receiver) -> None:
    asked = context()
    asked["ti"].log_url = "http://127.0.0.1:8080/dags/d"
    alerts.OwnerNotifier(project=project, kind="approval", message=ASKED)(asked)
    assert receiver.messages[0]["message"].startswith(
        "d r waits for an approval: answer on http://127.0.0.1:8080/dags/d"
    )


@pytest.mark.parametrize("state, sent", [("queued", 1), ("running", 0)])
def test_a_deadline_that_is_about_a_state_is_silent_in_another(project, receiver, state: str, sent: int) -> None:
    first, _ = alerts.deadlines(project, queued=timedelta(hours=1), ended=timedelta(hours=9))
    assert (first.callback.path, first.interval) == ("orchestration.alerts.OwnerNotifier", timedelta(hours=1))
    given = {name: value for name, value in first.callback.kwargs.items() if name not in ("prefix", "root")}
    notifier = alerts.OwnerNotifier(project=project, **given)
    run = {"dag_id": "d", "dag_run_id": "r", "state": state}
    asyncio.run(notifier.async_notify({"dag_run": run, "deadline": {}}))
    assert len(receiver.messages) == sent and all("d r has been queued" in m["message"] for m in receiver.messages)


def test_an_address_that_fails_is_named_without_its_secret_and_the_others_receive(
    project: Project, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = f"json://user:hunter2@127.0.0.1:9/x nonsense {receiver.address}"
    alerts.send(replace(project, alert_address=addresses), message="down", kind="page")
    assert [message["title"] for message in receiver.messages] == ["light page: down"]
    shown = [record.getMessage() for record in caplog.records if "could not be sent" in record.getMessage()]
    assert [text.partition("address ")[2][:1] for text in shown] == ["1", "2"] and "hunter2" not in caplog.text


def test_the_addresses_are_tried_by_a_command(tmp_path: Path, receiver: Receiver, monkeypatch, capsys) -> None:
    words = ["--prefix=LIGHT", f"--root={tmp_path}", "hello"]
    monkeypatch.delenv("LIGHT_ALERT_ADDRESS", raising=False)
    assert alerts.main(words) == 1 and "LIGHT_ALERT_ADDRESS" in capsys.readouterr().err
    monkeypatch.setenv("LIGHT_ALERT_ADDRESS", receiver.address)
    assert alerts.main(words) == 0 and receiver.messages[0]["message"] == "hello"
