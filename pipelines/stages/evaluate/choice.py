"""Choose between the cheap and the fine-tuned model: the dearer one has to win."""

from dataclasses import dataclass
from typing import Any

from pipelines.stages.evaluate.scores import Answers
from pipelines.stats.comparison import BootstrapEstimate, Resampling, macro_f1

CHEAP, DEAR = "baseline", "finetune"


@dataclass(frozen=True)
class Choice:
    """Which candidate goes on, and the paired comparison that says why."""

    candidate: str
    difference: BootstrapEstimate | None  # macro-F1, fine-tuned minus cheap, on the recent rows
    margin: float
    sentence: str

    def as_metrics(self) -> dict[str, Any]:
        """The choice as `metrics.json` keeps it."""
        found = self.difference.as_dict() if self.difference else None
        if found:
            found = {key: round(value, 6) if isinstance(value, float) else value for key, value in found.items()}
        return {"candidate": self.candidate, "margin": self.margin, "macro_f1_difference": found, "why": self.sentence}


def choose(cheap: Answers, dear: Answers, *, resampling: Resampling, confidence: float, margin: float) -> Choice:
    """The fine-tuned model when the lower bound of its lead in macro-F1 is above the margin, else the cheap one."""
    if not dear.usable:
        return Choice(CHEAP, None, margin, "The fine-tuned model gave no usable answers, so the cheap one goes on.")
    if not cheap.usable:
        return Choice(
            CHEAP, None, margin, "The cheap model gave no usable answers, so there is nothing to compare with."
        )
    found = resampling.paired_difference(dear.class_sums, cheap.class_sums, macro_f1, confidence=confidence)
    lead = f"{_points(found.value)} points of macro-F1 (one-sided {confidence:.0%} lower bound {_points(found.lower)})"
    if found.lower > margin:
        return Choice(DEAR, found, margin, f"The fine-tuned model beats the cheap one by {lead}, so it goes on.")
    return Choice(
        CHEAP,
        found,
        margin,
        f"The fine-tuned model does not beat the cheap one beyond doubt: {lead}, where more than "
        f"{100 * margin:.1f} was asked; so the cheap one goes on.",
    )


def _points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\u2212")
