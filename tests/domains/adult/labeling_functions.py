"""Votes on income that know neither sex nor race, and reproduce the difference all the same."""

import polars as pl

from pipelines.records.labeling import expression

MARRIED, ALONE = {"marital": "Married-civ-spouse"}, {"marital": "Never-married"}

studied_and_married = expression(
    "studied_and_married",
    "more_than_50k",
    (pl.col("marital") == "Married-civ-spouse") & (pl.col("education_years") >= 12),
    fires_on={**MARRIED, "education_years": 13.0},
    abstains_on={**ALONE, "education_years": 13.0},
)
sold_at_a_gain = expression(
    "sold_at_a_gain", "more_than_50k", pl.col("capital_gain") > 7000,
    fires_on={"capital_gain": 9000.0}, abstains_on={"capital_gain": 0.0},
)  # fmt: skip
lives_alone = expression(
    "lives_alone", "up_to_50k", pl.col("marital") != "Married-civ-spouse", fires_on=ALONE, abstains_on=MARRIED
)
left_school_early = expression(
    "left_school_early", "up_to_50k", pl.col("education_years") <= 11,
    fires_on={"education_years": 7.0}, abstains_on={"education_years": 13.0},
)  # fmt: skip
