"""Choose a candidate: one that costs more has to win a paired comparison with the one that is chosen without it."""

from dataclasses import dataclass, replace
from typing import Any

from pipelines.models.candidates import BASELINE, BLEND, FINETUNE, NAMES
from pipelines.stages.evaluate.scores import Answers, rounded
from pipelines.stats.comparison import BootstrapEstimate, Resampling, macro_f1


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, and the paired comparison that the choice is based on."""

    candidate: str
    difference: BootstrapEstimate | None  # macro-F1, fine-tuned minus baseline, on `recent`
    margin: float
    sentence: str
    against: str | None = None  # the candidate that the blend was compared with
    blend_difference: BootstrapEstimate | None = None  # macro-F1, blend minus that candidate, on `recent`

    def as_metrics(self) -> dict[str, Any]:
        """Return the choice as `metrics.json` keeps it."""
        return {
            "candidate": self.candidate,
            "margin": self.margin,
            "macro_f1_difference": _plain(self.difference),
            "blend": {"against": self.against, "macro_f1_difference": _plain(self.blend_difference)},
            "why": self.sentence,
        }


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


def with_blend(
    choice: Choice,
    single: Answers,
    blend: Answers | None,
    *,
    resampling: Resampling,
    confidence: float,
    margin: float,
    absent: str = "",
) -> Choice:
    """Return the blend if it beats the chosen single model by the same test, else the choice; both say why.

    `single` are the answers of the chosen model. `blend` is None where the run has no blend; `absent` is the reason.
    """
    if blend is None:
        return replace(choice, sentence=f"{choice.sentence} There is no blend: {absent}.")
    name = NAMES[choice.candidate]
    if not blend.usable or not single.usable:
        return replace(choice, sentence=f"{choice.sentence} The blend cannot be compared with the {name}.")
    found = resampling.paired_difference(blend.class_sums, single.class_sums, macro_f1, confidence=confidence)
    lead = f"{points(found.value)} points of macro-F1 (one-sided {confidence:.0%} lower bound {points(found.lower)})"
    wins = found.lower > margin
    ending = (
        f"The blend of both beats the {name} by {lead}: blend chosen."
        if wins
        else f"The blend of both does not beat the {name} with confidence ({lead}): {name} kept."
    )
    return replace(
        choice,
        candidate=BLEND if wins else choice.candidate,
        sentence=f"{choice.sentence} {ending}",
        against=choice.candidate,
        blend_difference=found,
    )


def points(difference: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * difference:+.2f}".replace("-", "\u2212")


def _plain(found: BootstrapEstimate | None) -> dict[str, Any] | None:
    return {key: rounded(value) for key, value in found.as_dict().items()} if found else None
