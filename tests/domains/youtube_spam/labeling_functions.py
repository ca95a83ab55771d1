"""Votes on comments: requests are spam, remarks about the song are not."""

import re

import polars as pl

from pipelines.records.labeling import Record, expression, labeling_function, pattern

LINKED_TIME = re.compile(r">\d{1,2}:\d\d</a>")

asks_to_subscribe = pattern(
    "asks_to_subscribe",
    "spam",
    r"subscrib|\bsubs?\b",
    fires_on="Subscribe to me and I will subscribe back",
    abstains_on="I watch this every day",
)

points_elsewhere = pattern(
    "points_elsewhere",
    "spam",
    r"https?:|www\.|\.(com|net|tk|org|ly|me)\b|watch\?v=",
    unless=r"[?&]t=|&t=",
    fires_on="see http://example.com for more",
    abstains_on="see you at the concert",
)

says_check_out = pattern(
    "says_check_out",
    "spam",
    r"check(ing)? (it |this |them |me |us |him )?out|check (my|this|our)",
    fires_on="Check out this playlist",
    abstains_on="I checked twice, it is her",
)

begs = pattern(
    "begs",
    "spam",
    r"\b(please|plz|pls|plese|pleas)\b",
    fires_on="please help me get views",
    abstains_on="the best video",
)

speaks_of_own_work = pattern(
    "speaks_of_own_work",
    "spam",
    r"\bmy (\w+ ){0,2}(channel|videos?|music|songs?|cover|page|site|mixtape|account)\b|\bour (channel|music|band)",
    fires_on="look at my new channel",
    abstains_on="look at her dress",
)

offers_money = pattern(
    "offers_money",
    "spam",
    r"\$\d|\b(earn|free|cash|money|paid|giveaway|gift ?cards?|followers?|donate"
    r"|vote|visit|join|facebook|instagram|twitter)\b",
    fires_on="earn money from home",
    abstains_on="he earns respect",
)

speaks_of_the_song = pattern(
    "speaks_of_the_song",
    "ham",
    r"\bsongs?\b|lyrics|\bbeat\b|\bdanc(e|ing)\b|\btune\b|voice",
    unless=r"subscrib|http|www\.|check|channel|my (new )?(song|music)",
    fires_on="This song never gets old",
    abstains_on="check out my song",
)

loves_it = pattern(
    "loves_it",
    "ham",
    r"\b(love|loved|loves|awesome|amazing|beautiful|best|epic|cool|funny|lol|haha\w*|nice|great|fav\w*|legend)\b",
    unless=r"subscrib|http|www\.|check|channel|please|follow",
    fires_on="Love it",
    abstains_on="love it? subscribe",
)

marvels_at_the_views = pattern(
    "marvels_at_the_views",
    "ham",
    r"billion|\bviews?\b|most (viewed|watched)|in 20\d\d|still (watch|listen)|katy|shakira|eminem|rihanna|psy\b|lmfao",
    unless=r"subscrib|http|www\.|check|channel|please|my ",
    fires_on="2 billion views, wow",
    abstains_on="get 1000 views on my channel",
)

is_short = expression(
    "is_short",
    "ham",
    (pl.col("n_words") <= 5) & ~pl.col("text_lower").str.contains(r"http|www|subscrib|check|\.com|channel|my "),
    columns=("n_words",),
    fires_on={"text": "so good", "n_words": 2.0},
    abstains_on={"text": "subscribe now", "n_words": 2.0},
)


@labeling_function(
    label="ham", fires_on='<a href="http://youtu.be/x?t=2m19s">2:19</a> best part', abstains_on="best part is 2 19"
)
def names_a_moment(record: Record) -> bool:
    """A time within the video is linked automatically and shows that the writer watched."""
    return LINKED_TIME.search(record["text"]) is not None
