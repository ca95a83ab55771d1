"""The drift page and the replay page: which columns drifted, since when, with what confidence, and the action."""

from typing import Any

from pipelines.reporting.report import render

SHOWN_BINS = 12

HEADLINES = {
    "breach": "Drift confirmed",
    "alert": "Possible drift",
    "steady": "No drift",
    "undecided": "Too little data to decide",
}
ACTIONS = {
    "nothing": "No action",
    "alert": "The feed is broken: its owner was notified, no retraining",
    "page": "A person was paged, no retraining",
    "retrain": "Retraining",
    "rollback_and_retrain": "Rollback to the previous champion, then retraining",
    "rollback_and_page": "Rollback to the previous champion; a person was paged",
}


def drift_page(verdict: dict[str, Any], *, decision: dict[str, Any] | None, limits: dict[str, float]) -> str:
    """Return `drift.html` for a drift verdict and the decision on it, if any; equal content gives equal bytes."""
    columns = [{"name": name, **facts} for name, facts in verdict["columns"].items()]
    order = {"breach": 0, "alert": 1, "undecided": 3}
    columns.sort(key=lambda c: (order.get(c["outcome"], 2), -(c["score"] or 0), c["name"]))
    broken = [check for check in verdict["upstream"]["checks"] if check["outcome"] == "failed"]
    shown = [c for c in columns if c["outcome"] in ("breach", "alert")] or [c for c in columns if c.get("bins")][:3]
    return render(
        "drift.html.j2",
        values={
            "verdict": verdict,
            "decision": decision,
            "headline": "The feed is broken" if broken else HEADLINES[verdict["outcome"]],
            "tone": "failed" if broken or verdict["outcome"] == "breach" else _tone(verdict["outcome"]),
            "action": ACTIONS.get(decision["action"], decision["action"]) if decision else "Not decided yet",
            "columns": columns,
            "shown": [{**c, "bars": bars(c)} for c in shown if c.get("bins")],
            "limits": limits,
            "broken": broken,
            "years": any(c.get("last_year_psi") is not None for c in columns),
        },
    )


def bars(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bins of a column as shares of reference and live; of many bins, those that differ most."""
    labels, reference, live = (facts["bins"][name] for name in ("labels", "reference", "live"))
    before, now = max(sum(reference), 1), max(sum(live), 1)
    rows = [
        {"label": label, "reference": ref / before, "live": cur / now, "place": place}
        for place, (label, ref, cur) in enumerate(zip(labels, reference, live, strict=True))
        if ref or cur
    ]
    kept = sorted(rows, key=lambda row: (-abs(row["live"] - row["reference"]), row["place"]))[:SHOWN_BINS]
    return sorted(kept, key=lambda row: row["place"])


def _tone(outcome: str) -> str:
    return {"steady": "passed", "alert": "undecided", "undecided": "undecided"}[outcome]


def replay_page(content: dict[str, Any]) -> str:
    """Return `replay.html`: the days that would have triggered an action, and the chart of all evaluations."""
    alerts = [item for item in content["evaluations"] if item["alerts"] or item["breaches"]]
    return render(
        "replay.html.j2",
        values={"content": content, "alerts": alerts, "lanes": lanes(content)},
    )


def replay_chart(content: dict[str, Any]) -> str:
    """Return `replay.svg`: the excess PSI of every column over time, with limits, alerts and breaches."""
    return render("replay.svg.j2", values={"content": content, "lanes": lanes(content)})


def lanes(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one lane per column: the path of its excess PSI, its alerts and breaches."""
    evaluations = content["evaluations"]
    width, height, made = 900.0, 46.0, []
    for name in content["columns"]:
        values = [max(0.0, item["excess"].get(name, 0.0)) for item in evaluations]
        top = max([*values, 2 * content["limits"]["breach_excess"]])
        xs = [round(130 + width * place / max(len(evaluations) - 1, 1), 1) for place in range(len(evaluations))]
        ys = [round(height - 4 - (height - 8) * value / top, 1) for value in values]
        made.append(
            {
                "name": name,
                "top": round(top, 2),
                "path": " ".join(f"{x},{y}" for x, y in zip(xs, ys, strict=True)),
                "alerts": [
                    {"x": x, "y": y, "end": item["end"], "breach": name in item["breaches"]}
                    for x, y, item in zip(xs, ys, evaluations, strict=True)
                    if name in item["alerts"] or name in item["breaches"]
                ],
                "limit": round(height - 4 - (height - 8) * content["limits"]["breach_excess"] / top, 1),
            }
        )
    return made
