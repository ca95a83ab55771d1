"""Compare the stages of a commit with those that a DAG renders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .request import RequestError


def ancestors(upstream: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """Return every stage that runs before each stage, directly or not."""
    found: dict[str, set[str]] = {}

    def above(stage: str) -> set[str]:
        if stage not in found:
            direct = set(upstream.get(stage, ()))
            found[stage] = direct.union(*(above(name) for name in direct))
        return found[stage]

    for stage in upstream:
        above(stage)
    return found


def check_graph(actual: Mapping[str, Sequence[str]], rendered: Mapping[str, Sequence[str]], *, commit: str) -> None:
    """Refuse a commit with stages that this DAG does not render, or would run in an order that its dvc.yaml forbids.

    Raises RequestError. A stage that the commit no longer has, and an edge that the DAG implies, are accepted.
    """
    if missing := sorted(set(actual) - set(rendered)):
        raise RequestError(
            f"commit {commit[:12]} has stages that this DAG does not have: {', '.join(missing)}. "
            "The DAGs are older than the commit, or the graph is stale: run `make graph` and commit dags/graph.json"
        )
    above = ancestors(rendered)
    for stage, upstream in actual.items():
        if wrong := sorted(set(upstream) - above[stage]):
            raise RequestError(
                f"commit {commit[:12]} runs {stage} after {', '.join(wrong)}, and this DAG does not. "
                "Its graph is stale: run `make graph` and commit dags/graph.json"
            )
