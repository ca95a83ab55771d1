"""Run a command only where the decision asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException
from orchestration.operators import CommandOperator

MAX_REASON = 900  # characters of a reason that is passed to a command


class DecidedOperator(CommandOperator):
    """Run a command only when the decision includes the action `action`.

    `{key}` and `{reason}` in an option are replaced by the decision's key and reason.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, action: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.action = action

    def execute(self, context: Any) -> Any:
        """Fill in the decision's key and reason, and run."""
        decision = context["ti"].xcom_pull(task_ids="decide")
        if not decision[self.action]:
            raise AirflowSkipException(f"the decision is {decision['action']}")
        values = {"key": decision["key"], "reason": decision["reason"][:MAX_REASON]}
        self.arguments = [part.format(**values) if part.startswith("--") else part for part in self.arguments]
        return super().execute(context)
