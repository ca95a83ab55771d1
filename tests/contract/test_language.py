"""The check of the language finds what it is for, and leaves data and other words alone."""

import pytest

from scripts.check_language import findings, main


def phrases(text: str, *, path: str = "pipelines/runtime/example.py") -> list[str]:
    return [phrase.strip() for _, phrase, _ in findings(text, path=path)]


@pytest.mark.parametrize(
    "text",
    [
        "turn this knob",
        "KNOB_TABLE = 1",
        "X = 3; 1 to 9 would be right",
        "'abc' is no port",
        "it is none of them",
        "the cheap candidate",
        "the dearer one",
        "a favoured group",
        "mended by the next call",
        "def said(): ...",
        "what the file says",
        "tell(reason)",
        "it stands in data/",
        "1,000 rows a week",
        "one section a stage",
        "laid over params.yaml",
        "class Look: ...",
        "for look in looks:",
        "the judge of it",
        "fates of rows",
        "whoever reads",
        "lots of 64 bits: lot = hash % 64",
        "does not cry wolf",
        "the world has moved",
        "the champion is never crept away from",
        "behaviour",
    ],
)
def test_phrases_of_the_table_are_found(text):
    assert phrases(text)


@pytest.mark.parametrize(
    "text",
    [
        "value is None",
        "there is no network",
        "it is no longer open",
        "look at the page",
        "it looks like a number",
        "a lot of rows",
        "besides",
        "amended, recommend, dearth, standard, bystander",
        "a stand-in for the model",
        "stands for the mean",
        "rows per week, once a day",
        "study.tell(trial, value)",
        "handle.tell()",
        "text.islower()",
    ],
)
def test_other_words_pass(text):
    assert phrases(text) == []


def test_texts_that_are_data_pass_and_their_comments_do_not():
    source = '"""Nobody."""\nTEXT = "They told me"  # said so\n'
    assert phrases(source, path="pipelines/domains/complaints/simulator.py") == ["Nobody", "said"]


def test_a_finding_names_file_line_and_replacement(tmp_path, capsys):
    (tmp_path / "page.md").write_text("one\na knob\n")
    assert main([str(tmp_path / "page.md")]) == 1
    assert f"{tmp_path}/page.md:2: knob -> parameter(s)" in capsys.readouterr().out
    (tmp_path / "page.md").write_text("a parameter\n")
    assert main([str(tmp_path / "page.md")]) == 0
