"""Votes on loans from the account and the loan itself."""

import polars as pl

from pipelines.records.labeling import expression

has_no_account = expression(
    "has_no_account", "good", pl.col("status") == "A14", fires_on={"status": "A14"}, abstains_on={"status": "A11"}
)
repaid_before = expression(
    "repaid_before", "good", pl.col("credit_history") == "A34",
    fires_on={"credit_history": "A34"}, abstains_on={"credit_history": "A30"},
)  # fmt: skip
rents_and_overdrew = expression(
    "rents_and_overdrew",
    "bad",
    (pl.col("housing") == "A151") & (pl.col("status") == "A11"),
    fires_on={"housing": "A151", "status": "A11"},
    abstains_on={"housing": "A152", "status": "A11"},
)
is_a_short_loan = expression(
    "is_a_short_loan", "good", pl.col("month") <= 12, fires_on={"month": 6.0}, abstains_on={"month": 24.0}
)
is_a_long_loan_overdrawn = expression(
    "is_a_long_loan_overdrawn",
    "bad",
    (pl.col("month") >= 24) & (pl.col("status") == "A11"),
    fires_on={"month": 48.0, "status": "A11"},
    abstains_on={"month": 6.0, "status": "A11"},
)
