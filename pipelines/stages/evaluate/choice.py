"""Choose between the baseline and the fine-tuned model: the costlier one has to win a paired comparison."""

from dataclasses import dataclass
from typing import Any

from pipelines.stages.evaluate.scores import Answers, rounded
from pipelines.stats.comparison import BootstrapEstimate, Resampling, macro_f1

BASELINE, FINETUNE = "baseline", "finetune"


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, and the paired comparison that the choice is based on."""

    candidate: str
    difference: BootstrapEstimate | None  # macro-F1, fine-tuned minus baseline, on `recent`
    margin: float
    sentence: str

    def as_metrics(self) -> dict[str, Any]:
        """Return the choice as `metrics.json` keeps it."""
        found = self.difference.as_dict() if self.difference else None
        if found:
            found = {key: rounded(value) for key, value in found.items()}
        return {"candidate": self.candidate, "margin": self.margin, "macro_f1_difference": found, "why": self.sentence}


def choose(
    baseline: Answers,
    finetune: Answers | None,
    *,
    resampling: Resampling,
    confidence: float,
    margin: float,
    absent: str = "",
) -> Choice:
    """Return the fine-tuned model if the lower bound of its lead in macro-F1 is above the margin, else the baseline.

    `finetune` is None where the run has no fine-tuned model; `absent` gives the reason.
    """
    if finetune is None:
        return Choice(BASELINE, None, margin, f"There is no fine-tuned model ({absent}): baseline chosen.")
    if not finetune.usable:
        return Choice(BASELINE, None, margin, "The fine-tuned model has no usable predictions: baseline chosen.")
    if not baseline.usable:
        return Choice(BASELINE, None, margin, "The baseline has no usable predictions, so no comparison is possible.")
    found = resampling.paired_difference(finetune.class_sums, baseline.class_sums, macro_f1, confidence=confidence)
    lead = f"{points(found.value)} points of macro-F1 (one-sided {confidence:.0%} lower bound {points(found.lower)})"
    if found.lower > margin:
        return Choice(
            FINETUNE, found, margin, f"The fine-tuned model beats the baseline by {lead}: fine-tuned model chosen."
        )
    return Choice(
        BASELINE,
        found,
        margin,
        f"The fine-tuned model does not beat the baseline with confidence: {lead}, and a lead of more than "
        f"{100 * margin:.1f} is required: baseline chosen.",
    )


def points(difference: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\u2212")
