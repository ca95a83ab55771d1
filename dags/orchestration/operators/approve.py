"""Ask a person before a release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from orchestration.command import read_object
from orchestration.constants import EVIDENCE_LETTERS
from orchestration.gate import Gate
from orchestration.project import Project
from orchestration.workspace import Workspace

from .base import run_type

REJECTED_BY = "rejected_by"  # XCom of an approval that a person rejected


class ApproveOperator(ApprovalOperator):
    """Ask a person, and show the evidence; without the run parameter `approval` the task succeeds at once.

    `decision`: file, key and value of a decision that needs approval; any other value needs none.
    `show`: JSON files of evidence to show. `gate`: the command that answers whether the gate of a stage is open.
    """

    def __init__(
        self,
        *,
        project: Project,
        decision: tuple[str, str, str],
        show: Sequence[str],
        gate: Sequence[str],
        **rest: Any,
    ) -> None:
        super().__init__(body="", **rest)
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
        """Note who rejected: skipping the tasks after this one ends it before its result is kept."""
        if self.REJECT in event.get("chosen_options", ()):
            who = (event.get("responded_by_user") or {}).get("name") or "a person"
            context["ti"].xcom_push(key=REJECTED_BY, value=who)
        return super().execute_complete(context, event)

    def _page(self, workspace: Workspace, decision: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in decision.items() if not isinstance(value, dict | list)}
        made = workspace.prepared() or {}
        head = workspace.tree.head[:12]
        parts = [
            f"**Reason of the run:** {made.get('reason') or 'none given'} (commit `{head}`)",
            _requested(made),
            "\n".join(["| decision | |", "|---|---|", *(f"| {name} | {value} |" for name, value in plain.items())]),
        ]
        gates = [
            Gate.read(workspace, stage=stage["name"], verdict=verdict, command=self.gate)
            for stage in workspace.dvc.stages.values()
            if (verdict := stage["airflow"].get("verdict"))
        ]
        parts.append("\n".join(["| gate | | checks | |", "|---|---|---|---|", *(gate.row() for gate in gates)]))
        for name in self.show:
            text = json.dumps(read_object(workspace.path / name) or {}, indent=1, ensure_ascii=False)
            left = f"\n\n{len(text) - EVIDENCE_LETTERS:,} more characters: `git show {head}:{name}`"
            shown = f"### {name}\n```json\n{text[:EVIDENCE_LETTERS]}\n```"
            parts.append(shown + (left if len(text) > EVIDENCE_LETTERS else ""))
        parts += [f"### {gate.stage}\n{gate.page()}" for gate in reversed(gates)]  # the gate before the release first
        return "\n\n".join(parts)


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
