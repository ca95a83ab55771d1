"""Telephone numbers as they are written in each region, and figures that only look like them."""

import phonenumbers
import polars as pl
import pytest

from pipelines.records.languages import languages
from pipelines.records.phones import plan_of
from pipelines.records.redaction import redact

REGIONS = sorted({region for item in languages().values() for region in item.regions})


def one(text: str, **declared: tuple[str, ...]) -> str:
    return str(redact(pl.Series([text]), **declared)[0][0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rappelez-moi au 06 12 34 56 78 ou 01.23.45.67.89.", "Rappelez-moi au [PHONE] ou [PHONE]."),
        ("Rufen Sie 0049 89 1234567 oder 089/1234567 an", "Rufen Sie [PHONE] oder [PHONE] an"),
        ("Ring me on 020 7946 0958 or 07700 900123.", "Ring me on [PHONE] or [PHONE]."),
        ("اتصل بي على ٠٥٥١٢٣٤٥٦٧", "اتصل بي على [PHONE]"),
        ("我的电话是13812345678请回电", "我的电话是[PHONE]请回电"),
        ("電話は０９０－１２３４－５６７８です", "電話は[PHONE]です"),
        ("Llámame al 612 345 678", "Llámame al [PHONE]"),
        ("telefone (11) 91234-5678", "telefone [PHONE]"),
        ("8 (912) 345-67-89 мой телефон", "[PHONE] мой телефон"),
        ("(11) 2345-6659", "[PHONE]"),
        ("+49 (0)89 1234567 or \u202a+33 6 12 34 56 78\u202c", "[PHONE] or \u202a[PHONE]\u202c"),
        ("010-1234-5678이고", "[PHONE]이고"),
    ],
)
def test_telephone_numbers_go_and_the_sentence_stays(text: str, expected: str) -> None:
    assert one(text) == expected


def test_a_declared_language_needs_no_word_before_its_usual_groups() -> None:
    assert one("612 345 678", languages=("es",)) == "[PHONE]"
    assert one("612 345 678", languages=("en",), regions=("US",)) == "612 345 678"
    assert one("612 345 678 €", languages=("es",)) == "612 345 678 €"


@pytest.mark.parametrize("region", REGIONS)
def test_the_example_number_of_each_region_fits_its_plan(region: str) -> None:
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    plan = plan_of(region)
    assert plan.valid.fullmatch(phonenumbers.national_significant_number(number))
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    assert one(f"tel. {written}", regions=(region,)) == "tel. [PHONE]"
    international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert one(f"at {international}") == "at [PHONE]"
