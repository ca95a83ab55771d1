"""A run is a success only when it ended as it should."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from orchestration.operators import OutcomeOperator
from orchestration.operators.finish import NOTHING_TO_DO

DONE = {"prepare": "success", "train": "success", "approve": "success", "release": "success", "record": "success"}


def outcome(states: dict[str, str], **pulled: Any) -> str:
    """What the task states about a run with these task states and XComs."""
    with DAG("d", schedule=None):
        task = OutcomeOperator(task_id="outcome", required=["record"], approval="approve")
    ti = SimpleNamespace(
        get_task_states=lambda dag_id, run_ids: {run_ids[0]: {**states, "outcome": "running"}},
        xcom_pull=lambda task_ids, key="return_value": pulled.get(f"{task_ids}_{key}"),
    )
    return task.execute({"ti": ti, "dag_run": SimpleNamespace(dag_id="d", run_id="r")})


def test_a_released_a_kept_and_an_empty_run_are_successes() -> None:
    for states in (DONE, {**DONE, "release": "skipped"}):
        assert outcome(states) == "ended as it should"
    assert outcome({**DONE, "record": "skipped"}, **{f"record_{NOTHING_TO_DO}": True})


@pytest.mark.parametrize(
    "states, pulled, reason",
    [
        ({**DONE, "train": "failed", "record": "upstream_failed"}, {}, "failed: train"),
        (DONE, {"approve_rejected_by": "ana"}, "rejected by ana"),
        ({**DONE, "train": "skipped", "record": "skipped"}, {}, "stopped before record: skipped"),
        ({"prepare": "success"}, {}, "stopped before record: it did not start"),
    ],
)
def test_a_failed_a_rejected_and_a_stopped_run_are_none(states: dict[str, str], pulled: Any, reason: str) -> None:
    with pytest.raises(AirflowFailException, match=reason):
        outcome(states, **pulled)
