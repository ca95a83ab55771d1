"""Digests of evidence files find a file that is missing or of another run."""

from pipelines.gates.evidence import changed_evidence, evidence_digests
from pipelines.runtime.store import Store


def test_changed_and_missing_files_are_found(tmp_path):
    store = Store(tmp_path / "data")
    for name in ("same", "changed", "missing"):
        store.write_json("label", f"{name}.json", {"run": 1})
    digests = evidence_digests(store, [f"label/{name}.json" for name in ("same", "changed", "missing")])
    store.write_json("label", "changed.json", {"run": 2})
    (store.folder / "label" / "missing.json").unlink()
    assert changed_evidence(store, digests) == ["label/changed.json", "label/missing.json"]
