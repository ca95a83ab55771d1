"""Votes on complaints: what each product team would look for first.

Patterns see the text in lower case (Rust syntax). They know the words of older Americans ("house note", "charge card",
"bill collector") and of servicemembers ("VA loan", "Star card", "allotment") too: functions that know the words of the
majority alone leave those groups without labels, which the bias gate reports.
"""

import polars as pl

from pipelines.records.labeling import Record, expression, labeling_function, pattern

speaks_of_credit_report = pattern(
    "speaks_of_credit_report",
    "credit_reporting",
    r"(credit|consumer) (report|file|histor|standing|rating|bureau|profile)|credit score|clearance credit",
    fires_on="There is an error on my credit report.",
    abstains_on="There is an error on my mortgage statement.",
)

names_bureau = pattern(
    "names_bureau",
    "credit_reporting",
    r"equifax|experian|transunion|trans union|(credit|reporting) (bureau|agenc)",
    fires_on="TransUnion will not answer me.",
    abstains_on="The bank will not answer me.",
)

disputes_an_entry = pattern(
    "disputes_an_entry",
    "credit_reporting",
    r"inquir(y|ies)|tradeline|\bfcra\b|fair credit reporting|1681|identity theft|reinvestigat|"
    r"remove.{0,40}(accounts?|items?)|(inaccurate|fraudulent) (information|account|item|inquir)",
    fires_on="A hard inquiry appeared that I never authorized.",
    abstains_on="A fee appeared that I never authorized.",
)

chased_by_collector = pattern(
    "chased_by_collector",
    "debt_collection",
    r"(debt|bill) collect|collection(s)? (agenc|compan|account|department|firm)|collector|dunning|"
    r"debt (office|company)|in collections",
    fires_on="A bill collector calls my daughter.",
    abstains_on="I collect my pension at the branch.",
)

denies_the_debt = pattern(
    "denies_the_debt",
    "debt_collection",
    r"(validat|verif)\w* (of )?(the |this |that |alleged )*debt|debt (is|was) (not|n't)|not my debt|"
    r"\bfdcpa\b|fair debt|owe (them|this|the) (debt|money)|original creditor|(alleged|this|the) debt|"
    r"cease and desist|garnish|statute of limitations",
    fires_on="I asked for validation of the debt and got nothing.",
    abstains_on="I asked for a new card and got nothing.",
)

has_mortgage = pattern(
    "has_mortgage",
    "mortgage",
    r"mortgage|house note|\bva (home )?(loan|refinanc)|loan on the house|home (loan|equity)|\bheloc\b",
    fires_on="My house note went up by half.",
    abstains_on="My phone bill went up by half.",
)

fears_for_the_house = pattern(
    "fears_for_the_house",
    "mortgage",
    r"escrow|foreclos|loan modification|homeowners? insurance|property tax|refinanc\w* (of )?(my|our|"
    r"the) (home|house)|\bpmi\b|apprais|closing (date|cost|disclosure)|hazard insurance|lien release",
    fires_on="The escrow analysis is wrong.",
    abstains_on="The loan was paid by check.",
)

has_card = pattern(
    "has_card",
    "card",
    r"(credit|charge|rewards|prepaid|gift|star|exchange) card|charge plate|balance transfer|card (issuer|"
    r"company|member)|\bamex\b|american express|cash ?back|annual fee",
    unless=r"credit (report|bureau|file)|collection|equifax|experian|transunion",
    fires_on="A charge on my Star card was not mine.",
    abstains_on="The credit card is on my credit report.",
)

disputes_a_purchase = pattern(
    "disputes_a_purchase",
    "card",
    r"charge ?back|dispute\w* (the|this|a) (charge|purchase|transaction)|merchant|minimum payment|"
    r"\bapr\b.{0,60}card|card.{0,60}(\bapr\b|reward|bonus|points)",
    unless=r"credit (report|bureau|file)|overdraft|checking|savings account",
    fires_on="The merchant never delivered, so I asked for a chargeback.",
    abstains_on="The postman never delivered the parcel.",
)

has_bank_account = pattern(
    "has_bank_account",
    "bank_account",
    r"(checking|savings|bank|deposit|debit card|passbook|military pay) (account|savings)|passbook|"
    r"debit card|direct deposit|certificate of deposit|allotment deposit",
    unless=r"credit (report|card|bureau)|zelle|paypal|bitcoin|coinbase|payday|loan|mortgage|collection",
    fires_on="The bank closed my passbook savings.",
    abstains_on="I paid the loan from my checking account.",
)

pays_overdraft = pattern(
    "pays_overdraft",
    "bank_account",
    r"over ?draft|overdrawn|\bnsf\b|insufficient funds|atm\b|teller|(closed|froze|restricted|"
    r"locked) my (\w+ ){0,2}account|cash(ed)? (a|the|my) check|provisional credit|maintenance fee",
    fires_on="I was charged three overdraft fees.",
    abstains_on="I was charged three late fees.",
)

has_student_loan = pattern(
    "has_student_loan",
    "student_loan",
    r"student (loan|debt)|navient|nelnet|fedloan|sallie mae|great lakes|aes/pheaa|(college|education|"
    r"tuition) loan|loan (for|from) .{0,30}(college|school|enlisted)|parent (plus|loan)",
    unless=r"credit report|equifax|experian|transunion",
    fires_on="I co-signed a loan for my granddaughter's college.",
    abstains_on="My granddaughter took a loan for her car.",
)

seeks_loan_forgiveness = pattern(
    "seeks_loan_forgiveness",
    "student_loan",
    r"forgiveness|income[- ](driven|based)|\bpslf\b|deferment|borrower defense|department of education|"
    r"repayment plan|(public|community) college|university",
    fires_on="I applied for income-driven repayment.",
    abstains_on="I applied for a new checking account.",
)

finances_a_car = pattern(
    "finances_a_car",
    "vehicle_or_consumer_loan",
    r"(car|auto|automobile|vehicle|truck|motorcycle) (loan|lease|payment|note|financ)|"
    r"note on my automobile|truck financ|repossess|dealership|\bdealer\b|gap insurance|(car|"
    r"vehicle) was (totaled|stolen|repo)",
    unless=r"credit report|equifax|experian|transunion",
    fires_on="The automobile note was paid in March.",
    abstains_on="I sold my automobile in March.",
)

sends_money = pattern(
    "sends_money",
    "money_transfer",
    r"zelle|venmo|paypal|cash ?app|western union|moneygram|bitcoin|crypto|coinbase|money order|remittance|"
    r"money (transfer|sent|gram)|telegraphed money|wire(d)? (transfer|money)|\bwired\b",
    fires_on="The Zelle transfer never arrived.",
    abstains_on="The new card never arrived.",
)

borrowed_until_payday = pattern(
    "borrowed_until_payday",
    "payday_personal_loan",
    r"pay ?day|(personal|title|installment|signature|cash advance|tribal) loan|loan (store|shop)|"
    r"cash advance|advance loan|small loan|(one ?main|lending ?club|speedy cash|rapid cash|enova|upstart)",
    unless=r"credit report|equifax|experian|transunion",
    fires_on="The loan shop outside the gate wants twice as much.",
    abstains_on="The mortgage company wants twice as much.",
)

BUREAUS = r"(?i)equifax|experian|transunion|lexisnexis"
LENDERS = {
    r"(?i)navient|nelnet|pheaa|great lakes educational|sallie mae|mohela": "student_loan",
    r"(?i)ocwen|shellpoint|ditech|nationstar|select portfolio|freedom mortgage|loancare|carrington": "mortgage",
    r"(?i)paypal|coinbase|western union|moneygram": "money_transfer",
    r"(?i)credit acceptance|santander|toyota motor|ford motor|gm financial|"
    r"exeter finance": "vehicle_or_consumer_loan",
    r"(?i)recovery|collection|i\.c\. system|convergent|encore|diversified consultants|enhanced": "debt_collection",
    r"(?i)curo|enova|onemain|speedy cash|lendingclub|lendmark": "payday_personal_loan",
}

answered_by_bureau = expression(
    "answered_by_bureau",
    "credit_reporting",
    pl.col("company").str.contains(BUREAUS),
    fires_on={"company": "EQUIFAX, INC."},
    abstains_on={"company": "WELLS FARGO & COMPANY"},
)

answered_by_specialist = expression(
    "answered_by_specialist",
    None,
    pl.coalesce(
        pl.when(pl.col("company").str.contains(lenders)).then(pl.lit(label)) for lenders, label in LENDERS.items()
    ),
    fires_on={"company": "Navient Solutions, LLC."},
    abstains_on={"company": "BANK OF AMERICA, NATIONAL ASSOCIATION"},
)


@labeling_function(
    label="credit_reporting",
    fires_on="Pursuant to 15 USC 1681i I demand the deletion of this entry from my file.",
    abstains_on="Pursuant to our agreement I demand my money back.",
)
def is_a_dispute_letter(record: Record) -> bool:
    """Letters from the internet quote the law on credit reporting and ask for a deletion."""
    text = record["text"].lower()
    quotes = "usc" in text or "u.s.c" in text or "section 6" in text or "fcra" in text
    return quotes and any(word in text for word in ("delet", "remov", "block", "investigat")) and "debt" not in text


@labeling_function(
    label="debt_collection",
    fires_on="They call my job about an old medical bill of {$340.00}.",
    abstains_on="They call me about my new card.",
)
def chased_for_an_old_bill(record: Record) -> bool:
    """An old bill of a hospital, landlord or phone company that somebody else now asks for."""
    text = record["text"].lower()
    bill = any(
        word in text for word in ("medical bill", "hospital bill", "old bill", "apartment", "phone bill", "cable")
    )
    chased = any(word in text for word in ("collect", "owe", "call my", "calls me", "creditor"))
    return bill and chased and "credit report" not in text
