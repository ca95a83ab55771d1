"""Read the window from the source: raw rows -> data/ingest."""

from __future__ import annotations

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

FILE = "fingerprint.json"  # of the stage `source`


def main(project: Project) -> None:
    """Read and convert the window's rows; the verdict decides whether they may be trained on."""
    from pipelines.sources.fingerprint import facts, place, require_recorded
    from pipelines.stages.ingest.window import ingest_window

    store = project.store
    # Missing only when this stage is started without DVC.
    recorded = store.read_json("source", FILE) if (store.folder / "source" / FILE).is_file() else None
    if recorded:
        require_recorded(project, recorded)
    with (
        store.writing_file("ingest", "records.parquet") as records,
        store.writing_file("ingest", "quarantine.parquet") as quarantine,
        store.scratch_folder("ingest") as scratch,
    ):
        result = ingest_window(project, records=records, quarantine=quarantine, scratch=scratch)
        if recorded and recorded["kind"] == "files":
            require_recorded(project, recorded)  # a file may have changed while it was read
    store.write_records("ingest", result.per_day, name="per_day")
    metrics = result.metrics | {"source": facts(recorded or place(project))}
    store.write_metrics("ingest", metrics, headline={"rows": metrics["rows"]["accepted"]})
    store.write_verdict(result.verdict)


if __name__ == "__main__":
    run("ingest", main)
