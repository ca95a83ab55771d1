"""Checkpoints of another version of the code are never resumed from."""

from pathlib import Path

from pipelines.stages.finetune import checkpoint


def test_the_code_digest_follows_the_code_that_training_runs(monkeypatch):
    before = checkpoint.code_digest()
    assert before == checkpoint.code_digest()
    read = Path.read_bytes
    for name in ("training.py", "encoder.py", "adapter.py"):
        monkeypatch.setattr(Path, "read_bytes", lambda file, name=name: read(file) + b"#" * (file.name == name))
        assert checkpoint.code_digest() != before
