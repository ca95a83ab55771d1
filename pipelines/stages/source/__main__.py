"""Write the fingerprint of the source, on which ingest depends: another source, or a changed one, is read again."""

from __future__ import annotations

import logging

from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.runtime.runner import run

logger = logging.getLogger(__name__)

FILE, EARLIER = "fingerprint.json", "earlier.json"


def main(project: Project) -> None:
    """Write the fingerprint; with PERENNIAL_REPLAY keep the recorded one, and leave the source alone.

    The fingerprint is missing while the source is being reached, so after a failure no later stage passes for this run's.
    """
    from pipelines.sources.fingerprint import describe, fingerprint

    store = project.store
    current, earlier = store.path("source", FILE), store.path("source", EARLIER)
    if current.is_file():
        current.replace(earlier)
    found = _recorded(project) if project.replays else fingerprint(project)
    store.write_json("source", FILE, found)
    earlier.unlink(missing_ok=True)
    logger.info("%s%s", "recorded input, the source is not read: " if project.replays else "", describe(found))


def _recorded(project: Project) -> dict[str, object]:
    """Return the recorded fingerprint; InputError when there is none, or when it is of other parameters."""
    from pipelines.sources.fingerprint import describe, place

    if not (project.store.folder / "source" / EARLIER).is_file():
        raise InputError(
            "PERENNIAL_REPLAY asks for the recorded input, and data/source/fingerprint.json is missing: check out the "
            "tag of a run (`git checkout runs/...`), or unset PERENNIAL_REPLAY to read the source"
        )
    recorded: dict[str, object] = project.store.read_json("source", EARLIER)
    if recorded.get("kind") != place(project)["kind"]:
        raise InputError(
            f"PERENNIAL_REPLAY asks for the recorded input, which is of another source ({describe(recorded)}) than "
            "params.yaml names: set ingest.source to that, or unset PERENNIAL_REPLAY"
        )
    return recorded


if __name__ == "__main__":
    run("source", main)
