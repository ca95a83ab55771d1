"""Ask a person before a release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from orchestration.alerts import OwnerNotifier
from orchestration.command import read_object
from orchestration.constants import EVIDENCE_LETTERS
from orchestration.gate import Gate, number, worst_gates
from orchestration.project import Project
from orchestration.workspace import Workspace

from .base import run_type

REJECTED_BY, APPROVED_BY = "rejected_by", "approved_by"  # XComs of an approval that a person answered
ASKED = "{dag_id} {run_id} waits for an approval: answer on {log_url}"


class ApproveOperator(ApprovalOperator):
    """Ask a person, and show the evidence; without the run parameter `approval` the task succeeds at once.

    `decision`: file, key and value of a decision that needs approval; any other value needs none.
    `show`: JSON files of evidence to show. `gate`: the command that answers whether the gate of a stage is open.
    The owner is notified, only the project's approvers may answer (where it names some), and without an answer within
    `response_timeout` the task fails without a retry.
    """

    def __init__(
        self,
        *,
        project: Project,
        decision: tuple[str, str, str],
        show: Sequence[str],
        gate: Sequence[str],
        response_timeout: timedelta = timedelta(hours=48),
        **rest: Any,
    ) -> None:
        approvers: list[Any] = [{"id": name, "name": name} for name in project.approvers]
        asked = OwnerNotifier(project=project, kind="approval", message=ASKED)
        rest |= {"notifiers": [asked], "assigned_users": approvers or None, "response_timeout": response_timeout}
        super().__init__(body="", max_active_tis_per_dag=None, **rest)  # one that waits blocks no other run
        self.project = project
        self.decision = decision
        self.show = list(show)
        self.gate = list(gate)

    def execute(self, context: Any) -> Any:
        """Wait for an answer where this run needs one."""
        if not context["params"].get("approval") or run_type(context) == "backfill":
            self.log.info("this run needs no approval")
            return None
        run = context["dag_run"]
        workspace = Workspace(self.project, run.run_id, dag_id=run.dag_id)
        workspace.restore()
        file, key, wanted = self.decision
        decision = read_object(workspace.path / file) or {}
        if decision.get(key) != wanted:
            self.log.info("%s has %s = %r: nothing to approve", file, key, decision.get(key))
            return None
        self.body = self._page(workspace, decision)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Note who answered: skipping the tasks after this one ends it before its result is kept."""
        if chosen := event.get("chosen_options", ()):
            who = (event.get("responded_by_user") or {}).get("name") or "a person"
            context["ti"].xcom_push(key=REJECTED_BY if self.REJECT in chosen else APPROVED_BY, value=who)
        return super().execute_complete(context, event)

    def process_trigger_event_error(self, event: dict[str, Any]) -> None:
        """Fail for good when no answer came in time: another try would ask again, for as long."""
        if event["error_type"] == "timeout":
            raise AirflowFailException(f"no answer came within {self.response_timeout}: nothing was released")
        super().process_trigger_event_error(event)

    def _page(self, workspace: Workspace, decision: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in decision.items() if not isinstance(value, dict | list)}
        made = workspace.prepared() or {}
        head = workspace.tree.head[:12]
        gates = [
            Gate.read(workspace, stage=stage["name"], verdict=verdict, command=self.gate)
            for stage in workspace.dvc.stages.values()
            if (verdict := stage["airflow"].get("verdict"))
        ]
        parts = [
            _against(decision),
            worst_gates(gates),
            f"**Reason of the run:** {made.get('reason') or 'none given'} (commit `{head}`)",
            _requested(made),
            "\n".join(["| decision | |", "|---|---|", *(f"| {name} | {value} |" for name, value in plain.items())]),
        ]
        parts.append("\n".join(["| gate | | checks | |", "|---|---|---|---|", *(gate.row() for gate in gates)]))
        for name in self.show:
            text = json.dumps(read_object(workspace.path / name) or {}, indent=1, ensure_ascii=False)
            left = f"\n\n{len(text) - EVIDENCE_LETTERS:,} more characters: `git show {head}:{name}`"
            shown = f"### {name}\n```json\n{text[:EVIDENCE_LETTERS]}\n```"
            parts.append(shown + (left if len(text) > EVIDENCE_LETTERS else ""))
        parts += [f"### {gate.stage}\n{gate.page()}" for gate in reversed(gates)]  # the gate before the release first
        return "\n\n".join(parts)


def _against(decision: Mapping[str, Any]) -> str:
    """Return a table of the candidate against the champion: each comparison of the decision, with its interval."""
    champion = decision.get("champion")  # an object with the version, or the version itself
    if isinstance(champion, Mapping):
        champion = champion.get("version")
    title = f"**{decision.get('candidate', 'candidate')} against champion version {champion}**" if champion else ""
    lines = ["| metric | test set | candidate | against | difference | limit |", "|---|---|---|---|---|---|"]
    for row in decision.get("comparisons") or []:
        gap = row.get("difference") or {}
        found = [number(gap.get(name)) for name in ("value", "lower", "upper")]
        cells = [row.get("metric"), row.get("test_set"), number(row.get("candidate"))]
        cells += [f"{number(row.get('rival'))} ({row.get('against')})", f"{found[0]} ({found[1]} to {found[2]})"]
        lines.append(
            "| " + " | ".join(str(cell).replace("|", "/") for cell in [*cells, number(row.get("limit"))]) + " |"
        )
    return "\n\n".join(filter(None, [title or "**There is no champion yet**", "\n".join(lines)]))


def _requested(made: Mapping[str, Any]) -> str:
    """Return a table of what the run was asked for."""
    rows = [("git ref", made.get("ref") or "the commit of the deployed DAGs")]
    rows += [(f"window {name}", made[name]) for name in ("start", "end") if name in made]
    rows += sorted((made.get("overrides") or {}).items())
    return "\n".join(["| requested | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)])


def _cell(value: Any) -> str:
    """Return a value for a cell of a Markdown table: one line, never markup."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "`" + " ".join(text.replace("`", "'").replace("|", "\\|").split()) + "`"
