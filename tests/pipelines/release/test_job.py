"""Parameters laid over params.yaml, and the window of a retraining."""

import pytest

from pipelines.core.errors import ParamsError
from pipelines.release.job import lay_over, overlay_file, window

PARAMS = """# knobs
domain: d
ingest:
  start: null   # first day
  limits: {rows: 5, share: 0.5}
base: &base
  name: x
other: *base
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def test_what_moves_is_said_and_comments_stay(root):
    moved = lay_over(root, {"ingest": {"start": "2025-01-06", "limits": {"rows": 7}}, "domain": "d"})
    assert moved == ["ingest.start: None -> '2025-01-06'", "ingest.limits.rows: 5 -> 7"]
    text = (root / "params.yaml").read_text()
    assert "# knobs" in text
    assert "# first day" in text
    assert "share: 0.5" in text


def test_nothing_to_change_leaves_the_file_alone(root):
    before = (root / "params.yaml").stat().st_mtime_ns
    assert lay_over(root, {"ingest": {"limits": {"rows": 5}}}) == []
    assert lay_over(root, {}) == []
    assert (root / "params.yaml").stat().st_mtime_ns == before


def test_an_unknown_section_is_refused_before_anything_is_written(root):
    with pytest.raises(ParamsError, match="has no section 'ingset'; there are: base, domain, ingest, other"):
        lay_over(root, {"domain": "e", "ingset": {}})
    assert (root / "params.yaml").read_text() == PARAMS


def test_days_of_a_file_are_text(tmp_path):
    (tmp_path / "over.yaml").write_text("ingest: {start: 2025-01-06}\n")
    assert overlay_file(str(tmp_path / "over.yaml")) == {"ingest": {"start": "2025-01-06"}}


def test_no_file_is_no_change_and_an_empty_name_is_a_mistake():
    assert overlay_file(None) == {}
    with pytest.raises(ParamsError, match="no parameter file was named"):
        overlay_file("")


@pytest.mark.parametrize("content", ["- a list\n", "text\n", "a: [\n", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    (tmp_path / "over.yaml").write_text(content)
    with pytest.raises(ParamsError, match=r"over\.yaml"):
        overlay_file(str(tmp_path / "over.yaml"))


def test_a_window_is_two_days():
    assert window(None, None) == {}
    assert window("2025-01-06", "2025-03-03") == {"ingest": {"start": "2025-01-06", "end": "2025-03-03"}}


@pytest.mark.parametrize(
    ("start", "end"),
    [("2025-01-06", None), (None, "2025-01-06"), ("", ""), ("6.1.2025", "2025-03-03"), ("2025-03-03", "2025-03-03")],
)
def test_any_other_window_is_refused(start, end):
    with pytest.raises(ParamsError, match="START"):
        window(start, end)
