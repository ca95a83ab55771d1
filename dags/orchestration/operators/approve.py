"""Ask a person before a release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from orchestration.gate import Gate
from orchestration.project import Project
from orchestration.workspace import Workspace

from .base import read_object, run_type

SHOWN = 6000  # letters of an evidence file


class ApproveOperator(ApprovalOperator):
    """Ask a person, with the evidence in front of them; without the run parameter `approval` nobody is asked."""

    def __init__(
        self,
        *,
        project: Project,
        decision: tuple[str, str, str],
        evidence: Sequence[str],
        overrides: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(body="", **rest)
        self.project = project
        self.overrides = overrides  # folder of records that let a closed gate pass
        self.decision = decision  # file, key and value of a decision that there is something to approve for
        self.evidence = list(evidence)

    def execute(self, context: Any) -> Any:
        """Wait for an answer where one is asked for."""
        if not context["params"].get("approval") or run_type(context) == "backfill":
            self.log.info("no approval is asked for in this run")
            return None
        workspace = Workspace(self.project, context["dag_run"].run_id)
        workspace.restore()
        file, key, wanted = self.decision
        decided = read_object(workspace.path / file)
        if decided.get(key) != wanted:
            self.log.info("%s says %s = %r: there is nothing to approve", file, key, decided.get(key))
            return None
        self.body = self._page(workspace, decided)
        return super().execute(context)

    def _page(self, workspace: Workspace, decided: Mapping[str, Any]) -> str:
        plain = {name: value for name, value in decided.items() if not isinstance(value, dict | list)}
        made = workspace.prepared() or {}
        parts = [
            f"**Reason of the run:** {made.get('reason') or 'none given'} (commit `{workspace.head[:12]}`)",
            _asked(made),
            "\n".join(["| decision | |", "|---|---|", *(f"| {name} | {value} |" for name, value in plain.items())]),
        ]
        gates = [
            Gate.read(workspace.path, stage=stage["name"], verdict=verdict, overrides=self.overrides)
            for stage in workspace.stages.values()
            if (verdict := stage["airflow"].get("verdict"))
        ]
        parts.append("\n".join(["| gate | | checks | |", "|---|---|---|---|", *(gate.row() for gate in gates)]))
        for name in self.evidence:
            text = json.dumps(read_object(workspace.path / name), indent=1, ensure_ascii=False)
            left = f"\n\n{len(text) - SHOWN:,} more letters: `git show {workspace.head[:12]}:{name}`"
            parts.append(f"### {name}\n```json\n{text[:SHOWN]}\n```{left if len(text) > SHOWN else ''}")
        parts += [f"### {gate.stage}\n{gate.page()}" for gate in reversed(gates)]  # the last gate stands nearest to it
        return "\n\n".join(parts)


def _asked(made: Mapping[str, Any]) -> str:
    """What the run was asked for, its window among the overrides."""
    rows = [("git ref", made.get("ref") or "the DAGs' own commit"), *sorted((made.get("overrides") or {}).items())]
    return "\n".join(["| asked for | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)])


def _cell(value: Any) -> str:
    """A value in a cell of a Markdown table, one line and never markup."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "`" + " ".join(text.replace("`", "'").replace("|", "\\|").split()) + "`"
