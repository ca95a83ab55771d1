"""Near duplicates: the kernel against the definition in plain Python, and what may never depend on what."""

import random
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.text.shingles import NearDuplicateParams, fingerprint

NEAR = NearDuplicateParams(threshold=0.8, words=5, bands=32, rows=6, max_comparisons=1000)
WORDS = [
    "the",
    "loan",
    "XXXX",
    "xx",
    "don't",
    "{$240.00}",
    "x",
    "ÄRGER",
    "a_b",
    "2015",
    "—",
    "…",
    "bank",
    "XX/XX/XXXX",
    "किताब",
    "कताब",
    "電気ケトル",
    "ไฟฟ้า๑๒",
    "vip客户123号",
]
texts = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=40)


UNSPACED_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "IDEOGRAPHIC")


def characters_apart(word: str) -> str:
    """Each letter of a script without spaces as a word, with the marks after it."""
    apart = ""
    for letter in word:
        mark = unicodedata.category(letter)[0] == "M"
        unspaced = unicodedata.name(letter, "").startswith(UNSPACED_NAMES) and unicodedata.category(letter) != "Nd"
        if mark and unspaced and apart.endswith("\0"):
            apart = f"{apart[:-1]}{letter}\0"
        else:
            apart += f"\0{letter}\0" if unspaced else letter
    return apart.replace("\0", " ")


def words_of(text: str) -> list[str]:
    """The definition: NFKC where there is more than ASCII, lower case, letters and digits, one word a masked run."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    words: list[str] = []
    kept = [letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in plain.lower()]
    for word in characters_apart("".join(kept)).split():
        masked = len(word) > 1 and set(word) == {"x"}
        if not (masked and words and words[-1] == "\0"):
            words.append("\0" if masked else word)
    return words


def shingles_of(text: str, *, width: int = 5) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[at : at + width]) for at in range(max(len(words) - width + 1, 1))} if words else set()


def exact(left: str, right: str) -> float:
    a, b = shingles_of(left), shingles_of(right)
    return len(a & b) / len(a | b) if a and b else 0.0


def prints(*given_texts: str, near: NearDuplicateParams = NEAR, threads: int = 1):
    return fingerprint(list(given_texts), near=near, seed=1, threads=threads)


@given(texts, texts)
@settings(max_examples=120, deadline=None)
def test_the_kernel_agrees_with_the_definition(left: str, right: str) -> None:
    found = prints(left, right)
    assert found.similarity(0, 1) == exact(left, right)
    assert (found.digests[0] == found.digests[1]) == (words_of(left) == words_of(right))
    assert found.blank.tolist() == [not words_of(left), not words_of(right)]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("The LOAN, was\n\nlate!", "the loan was late"),
        ("on XXXX/XXXX/2015 XXXX called", "on XX 2015 XXXX XXXX XXXX called"),
        ("<b>late</b>\x00fee", "b late b fee"),
        ("ﬁne", "fine"),
    ],
)
def test_what_normalizing_makes_equal(left: str, right: str) -> None:
    matches = prints(left, right).repeated(near=NEAR)
    assert matches.twin.tolist() == [-1, 0]
    assert matches.exact.tolist() == [False, True]


def test_vowel_signs_and_accents_distinguish_words() -> None:
    assert (prints("किताब", "कताब", "cafe\u0301", "café").repeated(near=NEAR).twin == [-1, -1, -1, 2]).all()


def test_blank_texts_are_nobodys_duplicates() -> None:
    matches = prints("", "  ", "!!!", "", "\x00").repeated(near=NEAR)
    assert (matches.twin == -1).all()


def test_a_text_shorter_than_a_shingle_is_one_shingle() -> None:
    matches = prints("late fee", "Late fee.", "late fees", "fee").repeated(near=NEAR)
    assert matches.twin.tolist() == [-1, 0, -1, -1]


def test_threads_and_neighbors_change_nothing() -> None:
    random = np.random.default_rng(0)
    many = [" ".join(f"w{n}" for n in random.integers(0, 50, 30)) for _ in range(5000)]
    one, four, alone = prints(*many), prints(*many, threads=4), prints(many[4321])
    for name in ("shingles", "starts", "digests", "keys"):
        assert (getattr(one, name) == getattr(four, name)).all()
    assert (one.keys[4321] == alone.keys[0]).all()


def test_equal_shingles_in_another_order_are_near_not_exact() -> None:
    near = NEAR.model_copy(update={"words": 1})
    matches = prints("one two three", "three two one", near=near).repeated(near=near)
    assert matches.similarity.tolist() == [0, 1]
    assert not matches.exact.any()


def test_no_texts_at_all() -> None:
    assert len(prints().repeated(near=NEAR).twin) == 0


def test_matching_compares_queries_with_the_given_only() -> None:
    found = prints("a b c d e f g", "h i j k l m n", "a b c d e f g", "h i j k l m n o", "h i j k l m n")
    near = NEAR.model_copy(update={"threshold": 0.7})
    matches = found.matching(np.array([2, 3, 4]), given=np.array([0]), near=near)
    assert matches.twin.tolist() == [-1, -1, 0, -1, -1]
    assert found.matching(np.array([3, 4]), given=np.array([1, 0]), near=near).twin.tolist() == [-1, -1, -1, 1, 1]


@pytest.mark.slow
def test_a_letter_sent_fifty_thousand_times_is_not_quadratic() -> None:
    letter = " ".join(f"word{n}" for n in range(200))
    copies = [f"{letter} number{n}" for n in range(50_000)]
    matches = prints(*copies, threads=2).repeated(near=NEAR)
    assert (matches.twin[1:] == 0).all()
    assert matches.n_cut == 0


def test_the_limit_of_comparisons_is_counted() -> None:
    shared = " ".join(f"word{n}" for n in range(60))
    unlike = [f"{shared} " + " ".join(f"own{text}x{n}" for n in range(30)) for text in range(40)]
    near = NEAR.model_copy(update={"max_comparisons": 2})
    assert prints(*unlike, near=near).repeated(near=near).n_cut > 0


ALPHABETS = {
    "zh": "电热水壶三天就坏客服一直没有回复商店关门退款从来包裹潮湿箱子打开标签错误颜色压冒烟噪音再次两经理承诺信件寄出",
    "ja": "電気ケトルが三日で壊れました窓口の返事はなく店舗も閉店返金荷物濡れ箱は開き札が違う色騒音再び二度長約束手紙",
    "th": "กาต้มน้ำไฟฟ้าเสียหลังจากสามวันไม่มีใครรับสายร้านปิดเงินคืนพัสดุเปียกกล่องเปิดฉลากผิดสีควันเสียงดัง",
    "lo": "ກະຕິກນ້ຳໄຟຟ້າເສຍຫຼັງຈາກສາມມື້ບໍ່ມີໃຜຮັບສາຍຮ້ານປິດເງິນຄືນ",
    "km": "កំសៀវអគ្គិសនីខូចបន្ទាប់ពីបីថ្ងៃគ្មាននរណាឆ្លើយទូរស័ព្ទ",
    "my": "လျှပ်စစ်ရေနွေးအိုးသုံးရက်အကြာပျက်သွားသည်",
}


@pytest.mark.parametrize("language", ALPHABETS)
def test_planted_near_duplicates_without_spaces_are_found_and_nothing_else(language: str) -> None:
    """Letters of 80 characters, each sent again with one character changed, one left out and another number."""
    rng = random.Random(language)
    letters = re.findall(r"\w[^\w]*", ALPHABETS[language])  # each with the marks after it
    first = ["".join(rng.choices(letters, k=120)) for _ in range(200)]
    again = []
    for text in first:
        at = rng.randrange(20, 60)
        again.append(f"{text[:at]}{rng.choice(letters)}{text[at + 2 :]}{rng.randrange(1000)}")
    twin = prints(*first, *again).repeated(near=NEAR).twin
    planted = twin[200:] == np.arange(200)
    assert planted.mean() >= 0.95
    assert (twin[:200] == -1).all() and (twin[200:][~planted] == -1).all()
