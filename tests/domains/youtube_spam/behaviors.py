"""Which changes of a comment may change its class, and which may not."""

from pipelines.records.behaviors import adversarial, directional, invariance, minimum_functionality

SPAM = (
    "Subscribe to my channel and I will subscribe back",
    "Check out my new video on my channel please",
    "Earn money from home, visit http://example.com now",
    "please check out my music and subscribe",
    "CHECK OUT THIS VIDEO http://example.com/watch?v=1",
)
HAM = (
    "I love this song",
    "Best song ever, never gets old",
    "2 billion views, amazing",
    "Katy Perry is beautiful",
    "this beat is awesome",
)

knows_spam = minimum_functionality(
    "knows_spam", examples=[(text, "spam") for text in SPAM], at_least=0.6, doc="plain spam is spam"
)
knows_ham = minimum_functionality(
    "knows_ham", examples=[(text, "ham") for text in HAM], at_least=0.6, doc="plain praise is none"
)
keeps_its_mind_with_an_end_mark = invariance(
    "keeps_its_mind_with_an_end_mark",
    texts=SPAM + HAM,
    change=lambda text: text + " :)",
    at_least=0.7,
    doc="a smile changes nothing",
)
a_link_is_suspicious = directional(
    "a_link_is_suspicious",
    triples=[(text, text + " subscribe to my channel http://example.com", "spam") for text in HAM],
    at_least=0.6,
    doc="asking to subscribe to a channel makes spam more probable",
)
survives_anything = adversarial(
    "survives_anything", examples=[("", None), ("\x00", None)], at_least=1.0, doc="odd input gets a probability"
)
