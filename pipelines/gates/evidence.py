"""Evidence files: digests that tie a page to the files of exactly one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipelines.runtime.store import Store, file_digest


def evidence_digests(store: Store, files: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each evidence file, by its name below `data/` such as `label/metrics.json`."""
    return {name: file_digest(store.folder / name) for name in files}


def changed_evidence(store: Store, digests: Mapping[str, str]) -> list[str]:
    """Return the files that are missing, or whose content is not the one that the digests were taken of."""
    return [
        name
        for name, digest in digests.items()
        if not (store.folder / name).is_file() or file_digest(store.folder / name) != digest
    ]
