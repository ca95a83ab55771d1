"""Which versions are in memory: loaded before they answer, exchanged as a whole, refused with a reason."""

import pytest

from pipelines.live.serve import models as models_module
from pipelines.live.serve.models import Models
from pipelines.models import predictor as predictor_module
from pipelines.runtime.errors import InputError
from tests.factories.service import FakePredictor


class FakeRegistry:
    """Aliases that a test moves; each version's package is a folder of its number."""

    def __init__(self, folder, **aliases):
        self.folder, self.aliases, self.unrecorded = folder, aliases, None

    def alias(self, name):
        return self.aliases.get(name)

    def package(self, version):
        if version == 13:
            raise InputError("version 13: model/predictor.json was changed; refused")
        return self.folder / str(version)

    def require_recorded(self, version):
        if version == self.unrecorded:
            raise InputError(f"the last signed line of the history does not name version {version}")


@pytest.fixture
def loads(monkeypatch, complaints):
    loaded = []

    def load(folder, **rest):
        version = int(folder.parent.name)
        loaded.append(version)
        if version == 66:
            return FakePredictor(complaints.schema.labels, fail=lambda records: True)
        return FakePredictor(("a", "b") if version == 99 else complaints.schema.labels)

    monkeypatch.setattr(predictor_module.Predictor, "load", load)
    return loaded


def test_it_follows_the_aliases_and_loads_each_version_once(tmp_path, complaints, loads):
    registry = FakeRegistry(tmp_path, champion=1)
    models = Models(registry, domain=complaints, threads=1, exports=tmp_path / "exports")
    assert not models.ready
    assert models.refresh()
    assert models.ready
    assert not models.refresh()
    registry.aliases["challenger"] = 2
    assert models.refresh()
    assert (models.pair.champion.version, models.pair.challenger.version) == (1, 2)
    registry.aliases = {"champion": 2}
    assert models.refresh()
    assert (models.pair.champion.version, models.pair.challenger) == (2, None)
    assert loads == [1, 2]


def test_without_a_champion_it_is_not_ready(tmp_path, complaints, loads):
    models = Models(FakeRegistry(tmp_path), domain=complaints, threads=1, exports=tmp_path / "exports")
    assert not models.refresh()
    with pytest.raises(InputError, match="no model is loaded"):
        _ = models.pair


@pytest.mark.parametrize(("version", "why"), [(13, "was changed"), (66, "fails"), (99, "answers with the labels")])
def test_a_version_that_cannot_answer_is_refused_and_the_old_one_goes_on(tmp_path, complaints, loads, version, why):
    registry = FakeRegistry(tmp_path, champion=1)
    models = Models(registry, domain=complaints, threads=1, exports=tmp_path / "exports")
    models.refresh()
    registry.aliases["champion"] = version
    assert not models.refresh()
    assert models.pair.champion.version == 1
    assert why in models.refused[version]


def test_a_refused_version_is_tried_again_later(tmp_path, complaints, loads, monkeypatch):
    registry = FakeRegistry(tmp_path, champion=66)
    models = Models(registry, domain=complaints, threads=1, exports=tmp_path / "exports")
    models.refresh()
    models.refresh()
    assert loads == [66]
    monkeypatch.setattr(models_module.time, "monotonic", lambda: 1e12)
    models.refresh()
    assert loads == [66, 66]


def test_a_champion_that_no_signed_line_names_is_refused(tmp_path, loads, complaints):
    registry = FakeRegistry(tmp_path, champion=1, challenger=2)
    models = Models(registry, domain=complaints, threads=1, exports=tmp_path / "exports")
    assert models.refresh()
    registry.aliases["champion"] = registry.unrecorded = 2  # in memory already, as challenger
    models.refresh()
    assert models.pair.champion.version == 1
    assert "signed" in models.refused[2]
