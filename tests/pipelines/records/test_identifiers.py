"""Accounts, cards and national ids by check digits and context, in the languages and scripts of a text."""

import polars as pl
import pytest

from pipelines.records.redaction import redact


def one(text: str, **declared: tuple[str, ...]) -> str:
    return str(redact(pl.Series([text]), **declared)[0][0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bitte auf DE89 3704 0044 0532 0130 00 erstatten.", "Bitte auf [ACCOUNT] erstatten."),
        ("to GB29 NWBK 6016 1331 9268 19, thank you", "to [ACCOUNT], thank you"),
        ("fr76 3000 6000 0112 3456 7890 189 und PL61109010140000071219812874", "[ACCOUNT] und [ACCOUNT]"),
        ("الآيبان SA03 8000 0000 6080 1016 7519", "الآيبان [ACCOUNT]"),
        ("Konto DE89 3704 0044 0532 0130 01", "Konto [ACCOUNT]"),  # a wrong digit, but called an account
        ("口座番号1234567です", "口座番号[ACCOUNT]です"),
        ("Kontonummer 1234 567 890 bei der Bank", "Kontonummer [ACCOUNT] bei der Bank"),
        ("kart ٤١١١ ١١١١ ١١١١ ١١١١", "kart [CARD]"),
        ("カード４１１１１１１１１１１１１１１１です", "カード[CARD]です"),
        ("my NI number is QQ 12 34 56 C", "my NI number is [ID]"),
        ("sécu 1 84 12 76 451 089 46", "sécu [ID]"),
        ("Steuer-ID 86 095 742 719", "Steuer-ID [ID]"),
        ("DNI 12345678Z, NIE X-1234567-L", "DNI [ID], NIE [ID]"),
        ("codice RSSMRA85T10A562S", "codice [ID]"),
        ("PESEL 44051401359", "PESEL [ID]"),
        ("身份证号是11010519491231002X", "身份证号是[ID]"),
        ("マイナンバーは1234 5678 9018です", "マイナンバーは[ID]です"),
        ("CPF 123.456.789-09", "CPF [ID]"),
        ("आधार २३४१ २३४१ २३४६", "आधार [ID]"),
        ("PAN ABCPE1234F", "PAN [ID]"),
        ("СНИЛС 112-233-445 95", "СНИЛС [ID]"),
        ("Reisepass C01X00T47", "Reisepass [ID]"),
    ],
)
def test_a_number_of_somebody_goes(text: str, expected: str) -> None:
    assert one(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Order 2025010612345 never arrived",
        "Bestellnummer 302-1234567-1234567 ist nie angekommen",
        "commande 2025010612345 jamais reçue le 12.05.2024 pour 1.234.567,89 €",
        "订单号2025010612345还没到, 价格1234567元",
        "注文番号 250-1234567-1234567 が届きません",
        "رقم الطلب ٢٠٢٥٠١٠٦١٢٣٤٥",
        "tracking number 123456789012, invoice 987654321, ISBN 9783161484100",
        "15.06.2024-17.06.2024 at 52.5200066 13.4049540, 94103-1234",
        "U.S.C. 6801-6805 and 1681 604, 12 CFR 617.7010",
        "APR of 474.8487 % and 1 234 567 €",
        "DE89 is the start, AB12 the end",
    ],
)
def test_a_number_of_something_stays(text: str) -> None:
    assert one(text) == text


def test_ids_are_those_of_the_declared_regions() -> None:
    assert one("ABCPE1234F 123456A", languages=("de",)) == "ABCPE1234F 123456A"
    assert one("ABCPE1234F", regions=("IN",)) == "[ID]"
