"""Ten years of real complaints replayed week by week against the 52 weeks before: does the alarm fire when it should?

`python -m benchmarks.drift_real`. Reads `cfpb/tabular_3m.parquet` (2.96 million rows, five columns) below
PERENNIAL_REAL_DATA, and is skipped when that is missing. Its times are 17:00 of the day before: 7 hours are added.
"""

import json
import resource
import time
from datetime import date, timedelta
from pathlib import Path

from benchmarks.out import write_section
from benchmarks.texts import real_file
from pipelines.live.drift.replay_history import Replay, replay
from pipelines.runtime.project import Project

ROOT = Path(__file__).parents[1]
COLUMNS = "issue,submitted_via,company_response,consumer_consent_provided,consumer_disputed"
FORM_CHANGED = date(2017, 4, 24)
OUT = ROOT / "benchmarks" / "out" / "drift_real"


def main() -> None:
    """Replay, check the expected breaches, and write the table."""
    file = real_file("cfpb/tabular_3m.parquet")
    if file is None:
        print("skipped: this benchmark needs these complaints")
        return
    began = time.monotonic()
    wanted = Replay(
        source=str(file),
        start=date(2011, 12, 5),
        weeks=52,
        every="week",
        shift_hours=7,
        time_column="date_received",
        columns=COLUMNS,
        out=OUT,
    )
    replay(Project.open(), wanted)
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    content = json.loads((OUT / "replay.json").read_text())
    weeks = content["evaluations"]
    breaches = [week for week in weeks if week["breaches"]]
    issue = [week["end"] for week in breaches if "issue" in week["breaches"]]
    soon = [end for end in issue if FORM_CHANGED < date.fromisoformat(end) <= FORM_CHANGED + timedelta(weeks=3)]
    quiet = [week for week in breaches if "2018-07-01" < week["end"] <= "2020-01-01"]
    alerts = sum(bool(week["alerts"]) for week in weeks)
    lines = [
        "## Drift: ten years of real complaints (`python -m benchmarks.drift_real`)",
        "",
        f"2,963,652 complaints, five columns, {len(weeks)} weeks, each against the 52 weeks before: {alerts} alerts, "
        f"{len(breaches)} breaches, in {seconds:.0f} s and {peak:.1f} GB at most.",
        "",
        f"* The form changed on 24 April 2017: `issue` breaches in the week before **{soon[0] if soon else 'never'}**.",
        f"* From July 2018 to December 2019: **{len(quiet)}** breaches.",
        "",
        "| week before | breach | alert |",
        "|---|---|---|",
        *(f"| {b['end']} | {', '.join(b['breaches'])} | {', '.join(b['alerts'])} |" for b in breaches),
    ]
    write_section("drift_real", "\n".join(lines))
    print("\n".join(lines))
    assert soon, "the change of the form in April 2017 was missed"


if __name__ == "__main__":
    main()
