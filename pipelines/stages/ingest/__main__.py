"""Read the window from the source: raw rows -> data/ingest."""

from __future__ import annotations

from pipelines.runtime.project import Project
from pipelines.runtime.runner import run


def main(project: Project) -> None:
    """Read and convert the window's rows; the verdict decides whether they may be trained on."""
    from pipelines.stages.ingest.window import ingest_window

    store = project.store
    with (
        store.writing_file("ingest", "records.parquet") as records,
        store.writing_file("ingest", "quarantine.parquet") as quarantine,
        store.scratch_folder("ingest") as scratch,
    ):
        result = ingest_window(project, records=records, quarantine=quarantine, scratch=scratch)
    store.write_records("ingest", result.per_day, name="per_day")
    store.write_metrics("ingest", result.metrics, headline={"rows": result.metrics["rows"]["accepted"]})
    store.write_verdict(result.verdict)


if __name__ == "__main__":
    run("ingest", main)
