"""One behavior: this domain tests the gate before training."""

from pipelines.records.behaviors import adversarial

survives_anything = adversarial(
    "survives_anything", examples=[("", None), ("\x00", None)], at_least=1.0, doc="odd input gets a probability"
)
