"""One behavior: the gate before training is what is tried here."""

from pipelines.records.behaviors import adversarial

survives_anything = adversarial(
    "survives_anything", examples=[("", None), ("\x00", None)], at_least=1.0, doc="odd input gets a probability"
)
