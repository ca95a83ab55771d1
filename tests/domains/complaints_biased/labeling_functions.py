"""Labeling functions as they are often written first: in the words of the majority, with two careless shortcuts.

They label older Americans and servicemembers less often and less rightly; the bias gate has to close on them.
"""

from pipelines.domains.complaints.labeling_functions import (
    disputes_an_entry,
    fears_for_the_house,
    seeks_loan_forgiveness,
)
from pipelines.records.labeling import pattern

__all__ = ["disputes_an_entry", "fears_for_the_house", "seeks_loan_forgiveness"]

says_credit_report = pattern(
    "says_credit_report",
    "credit_reporting",
    r"credit (report|file|score|bureau)|equifax|experian|transunion",
    fires_on="My credit report is wrong.",
    abstains_on="My credit rating record is wrong.",
)

says_collector = pattern(
    "says_collector",
    "debt_collection",
    r"debt collect|collection agency",
    fires_on="A debt collector calls.",
    abstains_on="A bill collector calls.",
)

says_mortgage = pattern(
    "says_mortgage", "mortgage", r"mortgage", fires_on="My mortgage was sold.", abstains_on="My house note was sold."
)

says_card = pattern(
    "says_card",
    "card",
    r"(credit|rewards|prepaid) card",
    fires_on="My credit card was used.",
    abstains_on="My charge card was used.",
)

says_bank_account = pattern(
    "says_bank_account",
    "bank_account",
    r"(checking|savings|bank|debit card) account",
    fires_on="My checking account is closed.",
    abstains_on="My passbook is closed.",
)

says_student_loan = pattern(
    "says_student_loan",
    "student_loan",
    r"student loan",
    fires_on="My student loan doubled.",
    abstains_on="The loan for my grandson's college doubled.",
)

says_car_loan = pattern(
    "says_car_loan",
    "vehicle_or_consumer_loan",
    r"(car|auto|vehicle) (loan|lease|payment)",
    fires_on="My car loan is paid.",
    abstains_on="My automobile note is paid.",
)

says_transfer = pattern(
    "says_transfer",
    "money_transfer",
    r"zelle|paypal|cash app|(wire|money) transfer",
    fires_on="The Zelle payment vanished.",
    abstains_on="The money order vanished.",
)

says_payday = pattern(
    "says_payday",
    "payday_personal_loan",
    r"(payday|personal|title|installment) loan",
    fires_on="The payday loan was paid.",
    abstains_on="The signature loan was paid.",
)

sounds_old_fashioned = pattern(
    "sounds_old_fashioned",
    "bank_account",
    r"passbook|certificate of deposit|house note|charge (card|plate)|(bill|dunning) (collect|compan)|automobile"
    r"|signature loan"
    r"|money order|telegraphed|grand(son|daughter)|credit (standing|rating|history)",
    fires_on="My charge plate was refused.",
    abstains_on="My credit card was refused.",
)

sounds_military = pattern(
    "sounds_military",
    "payday_personal_loan",
    r"\bbase\b|overseas|command|enlisted|clearance|military"
    r"|va (home )?(loan|refinanc)|exchange card|star card|outside the gate",
    fires_on="They called my commander.",
    abstains_on="They called my employer.",
)
