"""Every labeling function of every domain keeps to its two examples, and the set is fit for use."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.records.domain import Domain
from pipelines.records.labeling import LabelingFunction, check_examples, vote_matrix

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("pipelines/domains/complaints", "tests/domains/complaints_biased", "tests/domains/youtube_spam")
FUNCTIONS = [
    pytest.param(function, folder, id=f"{Path(folder).name}-{function.name}")
    for folder in FOLDERS
    for function in Domain(ROOT / folder).labeling_functions
]


@pytest.mark.parametrize(("function", "folder"), FUNCTIONS)
def test_keeps_to_its_examples(function: LabelingFunction, folder: str) -> None:
    labels = Domain(ROOT / folder).schema.labels
    check_examples([function], labels=labels)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_label_has_a_function(folder: str) -> None:
    domain = Domain(ROOT / folder)
    votes = {function(function.fires_on) for function in domain.labeling_functions}
    assert votes >= set(domain.schema.labels) or folder.endswith("biased")


def test_complaints_have_twelve_or_more_of_three_kinds() -> None:
    functions = Domain(ROOT / FOLDERS[0]).labeling_functions
    assert len(functions) >= 12
    assert sum(not function.by_column for function in functions) >= 2
    assert sum(function.by_column and not function.lowered_columns for function in functions) >= 2


@pytest.mark.parametrize("folder", FOLDERS[:1])
def test_odd_texts_make_no_function_fail(folder: str) -> None:
    domain = Domain(ROOT / folder)
    texts = ["", " ", "\x00", "<b>x</b>", "XXXX " * 5000, "é" * 100]
    records = pd.DataFrame(
        {
            "id": [str(n) for n in range(len(texts))],
            "text": texts,
            "company": pd.Series([None] * len(texts), dtype="string"),
        }
    )
    assert (vote_matrix(domain.labeling_functions, records, labels=domain.schema.labels) == -1).all()


@pytest.mark.parametrize(("group", "least"), [("older_american", 0.5), ("servicemember", 0.5)])
def test_the_words_of_protected_groups_are_known(group: str, least: float) -> None:
    """Of the key terms that a group uses, the shipped functions know nearly all and the biased ones few."""
    from pipelines.domains.complaints.simulator_text import KEY_TERMS

    terms = [term for wordings in KEY_TERMS.values() for term in wordings[group]]  # type: ignore[index]

    def known(folder: str) -> float:
        domain = Domain(ROOT / folder)
        plain = [f for f in domain.labeling_functions if f.lowered_columns and not f.name.startswith("sounds_")]
        return sum(any(f({"text": f"It is about the {term}."}) for f in plain) for term in terms) / len(terms)

    assert known(FOLDERS[0]) > 0.85
    assert known(FOLDERS[1]) < least


@pytest.mark.realdata
@pytest.mark.slow
def test_agrees_with_real_complaints(real_data: Path) -> None:
    """Coverage, accuracy and kappa on the dated narratives are at least those of twelve plain keywords."""
    from sklearn.metrics import cohen_kappa_score

    domain = Domain(ROOT / FOLDERS[0])
    raw = domain.normalize(pd.read_csv(real_data / "cfpb/complaints.csv.gz", dtype=str, keep_default_na=False))
    records = domain.to_records(raw[raw["product"].isin(domain.schema.labels)])
    records = records[records["text"] != ""].reset_index(drop=True)
    votes = vote_matrix(domain.labeling_functions, records, labels=domain.schema.labels)
    counts = pd.DataFrame({label: (votes == code).sum(axis=1) for code, label in enumerate(domain.schema.labels)})
    most = counts.max(axis=1)
    labeled = (most > 0) & (counts.eq(most, axis=0).sum(axis=1) == 1)
    weak = counts.idxmax(axis=1)[labeled]
    gold = records["gold"][labeled]
    assert labeled.mean() >= 0.77
    assert (weak == gold).mean() >= 0.84
    assert cohen_kappa_score(weak, gold) >= 0.75
