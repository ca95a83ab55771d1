"""The table of languages, and that a domain can declare nothing that is not in it."""

import phonenumbers
import pytest

from pipelines.records.languages import languages
from pipelines.runtime.errors import InputError
from tests.factories.letters import letters_schema


@pytest.mark.parametrize("code", languages())
def test_a_language_has_regions_with_a_telephone_plan_and_words_in_lower_case(code: str) -> None:
    language = languages()[code]
    assert set(language.regions) <= phonenumbers.SUPPORTED_REGIONS
    for words in (language.account, language.phone, language.person, language.other):
        assert words
        assert all(isinstance(word, str) and word == word.lower().strip() for word in words)


@pytest.mark.parametrize(
    ("given", "listed"),
    [({"languages": ("en", "xx")}, "de, el, en"), ({"languages": "en"}, "de, el"), ({"regions": ("de",)}, "DE, DK")],
)
def test_an_unknown_code_is_refused_with_the_known_ones(given: dict[str, tuple[str, ...]], listed: str) -> None:
    with pytest.raises(InputError, match=listed):
        letters_schema(**given)


def test_known_codes_are_taken() -> None:
    assert letters_schema(languages=("de", "fr"), regions=("CH",)).regions == ("CH",)
