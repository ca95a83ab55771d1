"""The pages of a run: which there are, rendered from the evidence in `data/` and written to `data/pages/`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pipelines.reporting.data_report import data_report
from pipelines.reporting.evidence import RunEvidence, gates_reached, measured_latency, read_evidence
from pipelines.reporting.model_card import model_card
from pipelines.reporting.report import render
from pipelines.runtime.errors import ParamsError
from pipelines.runtime.store import Store

FOLDER = "pages"


@dataclass(frozen=True)
class Page:
    """A page, the stage whose evidence it shows, and the function that renders it."""

    title: str
    stage: str
    render: Callable[[RunEvidence, Store], str]


PAGES = {
    "data_report": Page(
        "Data report",
        "bias_gate",
        lambda evidence, store: data_report(evidence, functions=store.read_table("label", "functions.csv")),
    ),
    "model_card": Page(
        "Model card", "evaluate", lambda evidence, store: model_card(evidence, latency=measured_latency(store))
    ),
}


def render_page(store: Store, name: str, *, stale: Collection[str] = ()) -> tuple[str, tuple[str, ...]]:
    """Return a page as HTML, and what its evidence lacks.

    When evidence is missing or of several runs, the page states so and shows only the gates that the run reached.
    Raises ParamsError for an unknown page.
    """
    if name not in PAGES:
        raise ParamsError(f"unknown page {name!r}: expected {' or '.join(PAGES)}")
    page = PAGES[name]
    evidence = read_evidence(store, page.stage, stale=stale)
    if not evidence.problems:
        return page.render(evidence, store), ()
    values = {"title": page.title, "problems": evidence.problems, "gates": gates_reached(store, stale=stale)}
    return render("incomplete.html.j2", values=values), evidence.problems


def write_pages(store: Store, names: Iterable[str] = (), *, stale: Collection[str] = ()) -> dict[str, Any]:
    """Write the named pages, or all, to `data/pages/<name>.html`; `stale` are stages that the run did not reach.

    Returns for each page its file, and in `missing` what its evidence lacks.
    """
    written = {}
    for name in names or PAGES:
        html, problems = render_page(store, name, stale=stale)
        store.write_text(FOLDER, f"{name}.html", html)
        written[name] = {"file": f"data/{FOLDER}/{name}.html", "missing": list(problems)}
    return written
