"""The training loop: soft cross entropy, warmup and cosine, early stopping on gold rows, and resuming after a kill."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.models.encoder import batches_by_length
from pipelines.runtime.errors import InputError
from pipelines.runtime.progress import advancing
from pipelines.stages.finetune import checkpoint
from pipelines.stages.finetune.batches import epoch_batches
from pipelines.stages.finetune.checkpoint import Tensors, TrainingState
from pipelines.stats.comparison import macro_f1_score
from pipelines.training.tracking import Tracker

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Gives batches of rows."""

    lengths: list[int]  # tokens of each row

    def batch(self, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Return the classifier's arguments for these rows."""


@dataclass(frozen=True)
class Rows:
    """The rows to train on."""

    source: Source
    targets: NDArray[np.float64]  # (n, labels)
    weights: NDArray[np.float64]
    ids: Sequence[str]  # of the records, for messages


@dataclass(frozen=True)
class Recipe:
    """The parameters of the loop."""

    epochs: int
    batch_rows: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    warmup_share: float
    clip_norm: float
    evaluate_every: int
    patience: int
    dropout: float
    seed: int


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows of w_i times the cross entropy between target probabilities and softmax(logits)."""
    return -(weights * (targets * torch.log_softmax(logits.float(), dim=1)).sum(1)).mean()


def rate_at(step: int, *, steps: int, warmup_share: float) -> float:
    """Return the share of the full learning rate at a step: linear warmup, then cosine (Loshchilov & Hutter 2017)."""
    warmup = math.ceil(steps * warmup_share)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Trainer:
    """One training run; everything that changes is in `state`, the trained weights and the optimizer."""

    def __init__(self, classifier: torch.nn.Module, *, accelerator: Any, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.accelerator, self.folder = recipe, accelerator, folder
        self.trained = {name: p for name, p in classifier.named_parameters() if p.requires_grad}
        self.full_rates = [recipe.learning_rate, recipe.head_learning_rate]
        body = [p for name, p in self.trained.items() if not name.startswith("head.")]
        head = [p for name, p in self.trained.items() if name.startswith("head.")]
        self.inner = torch.optim.AdamW(
            [{"params": body, "lr": self.full_rates[0]}, {"params": head, "lr": self.full_rates[1]}],
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.model, self.optimizer = accelerator.prepare(classifier, self.inner)
        self.state = TrainingState()
        self.best: Tensors = {}

    def fit(self, rows: Rows, *, validation: Source | None, gold: NDArray[np.int64], tracker: Tracker) -> TrainingState:
        """Train until the last step, or until gold validation stops improving; leave the best weights in the network.

        `gold` holds the label indexes of the validation rows. Raises InputError when the loss or its gradient is not
        finite, before the weights are changed by it: the last checkpoint stays as it is.
        """
        self._resume()
        recipe, state = self.recipe, self.state
        device = self.accelerator.device
        target = torch.tensor(rows.targets, dtype=torch.float32, device=device)
        weight = torch.tensor(rows.weights, dtype=torch.float32, device=device)
        steps = self.steps_for(len(rows.source.lengths))
        per_epoch = steps // recipe.epochs
        batches: list[NDArray[np.int64]] = []
        planned = -1
        with advancing("fine-tuning", total=steps) as advance:
            advance(state.step)
            while state.step < steps and state.evaluations_without_improvement < recipe.patience:
                epoch, at = divmod(state.step, per_epoch)
                if epoch != planned:
                    batches = epoch_batches(rows.source.lengths, rows=recipe.batch_rows, seed=recipe.seed, epoch=epoch)
                    planned = epoch
                state.loss_sum += self._step(rows, batches[at], target, weight, steps=steps)
                state.step += 1
                advance(1)
                if state.step % recipe.evaluate_every == 0 or state.step == steps:
                    self._evaluate(validation, gold, tracker=tracker)
        if validation is not None and self.best:
            self._set_weights(self.best)
        return state

    def steps_for(self, rows: int) -> int:
        """Return the number of steps of all epochs over this many rows."""
        return -(-rows // self.recipe.batch_rows) * self.recipe.epochs

    def _step(
        self, data: Rows, rows: NDArray[np.int64], target: torch.Tensor, weight: torch.Tensor, *, steps: int
    ) -> float:
        """Train on one batch, whose row numbers are `rows`, and return its loss."""
        rate = rate_at(self.state.step, steps=steps, warmup_share=self.recipe.warmup_share)
        for group, full in zip(self.inner.param_groups, self.full_rates, strict=True):
            group["lr"] = full * rate
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = rows[rank::processes]
        share = len(mine) * processes / len(rows)  # accelerate takes the mean over the processes
        mine = mine if len(mine) else rows[:1]
        if self.recipe.dropout:  # the same random numbers for a step, whether or not training was interrupted
            torch.manual_seed(
                int(np.random.SeedSequence([self.recipe.seed, self.state.step, rank]).generate_state(1)[0])
            )
        self.model.train()
        logits = self.model(**data.source.batch(mine))
        picked = torch.from_numpy(mine).to(target.device)
        loss = soft_cross_entropy(logits, target[picked], weight[picked]) * share
        value = float(loss.detach())
        self._require_finite("loss", value, [data.ids[row] for row in mine])
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.trained.values(), self.recipe.clip_norm)
        self._require_finite("norm of the gradient", float(norm), [data.ids[row] for row in mine])
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def _require_finite(self, what: str, value: float, ids: Sequence[str]) -> None:
        """Raise InputError for NaN and infinity, naming the batch and the last checkpoint."""
        if math.isfinite(value):
            return
        state, file = self.state, checkpoint.file_of(self.folder)
        last = int(state.curve[-1]["step"] or 0) if state.curve else 0
        kept = f"the checkpoint of step {last} is kept: {file}" if last else "there is no checkpoint yet"
        raise InputError(
            f"fine-tuning diverged: the {what} is {value} at step {state.step + 1}, on the batch of {len(ids)} records "
            f"that begins with {', '.join(ids[:3])}; {kept}. Set finetune.learning_rate to less than "
            f"{self.recipe.learning_rate}, or look at these records"
        )

    def _evaluate(self, validation: Source | None, gold: NDArray[np.int64], *, tracker: Tracker) -> None:
        """Measure gold validation, keep the best weights, and write a checkpoint."""
        state = self.state
        since = state.step - (int(state.curve[-1]["step"] or 0) if state.curve else 0)
        score = macro_f1_score(gold, self.logits(validation)) if validation is not None else None
        point = {"step": state.step, "loss": state.loss_sum / since, "validation_macro_f1": score}
        state.curve.append(point)
        state.loss_sum = 0.0
        if score is not None:
            if state.best_score is None or score > state.best_score:
                state.best_score, state.best_step, state.evaluations_without_improvement = score, state.step, 0
                self.best = {name: p.detach().clone() for name, p in self.trained.items()}
            else:
                state.evaluations_without_improvement += 1
        shown = "" if score is None else f", gold validation macro-F1 {score:.4f}"
        logger.info("step %d: loss %.4f%s", state.step, point["loss"], shown)
        if self.accelerator.is_main_process:
            tracker.log({name: value for name, value in point.items() if name != "step"}, step=state.step)
            checkpoint.save(self.folder, state=state, tensors=self._tensors())
        self.accelerator.wait_for_everyone()

    def logits(self, source: Source) -> NDArray[np.float64]:
        """Return logits of every row with the present weights, shape (n, labels); each process computes its share."""
        from accelerate.utils import gather_object

        self.model.eval()
        found: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        batches = [np.unique(batch) for batch in batches_by_length(source.lengths)]
        with torch.no_grad():
            for rows in batches[self.accelerator.process_index :: self.accelerator.num_processes]:
                found.append((rows, self.model(**source.batch(rows)).float().cpu().numpy()))
        parts = gather_object(found)
        out = np.empty((len(source.lengths), parts[0][1].shape[1]))
        for rows, logits in parts:
            out[rows] = logits
        return out

    def _tensors(self) -> Tensors:
        tensors: Tensors = {f"weight/{name}": p for name, p in self.trained.items()}
        tensors.update({f"best/{name}": p for name, p in self.best.items()})
        for name, p in self.trained.items():
            tensors.update({f"optimizer/{key}/{name}": value for key, value in self.inner.state[p].items()})
        return tensors

    def _resume(self) -> None:
        """Load the last checkpoint of the same run, if there is one."""
        found = checkpoint.load(self.folder)
        if found is None:
            return
        self.state, tensors = found
        self._set_weights({name: tensors[f"weight/{name}"] for name in self.trained})
        self.best = {name: tensors[f"best/{name}"] for name in self.trained if f"best/{name}" in tensors}
        for name, p in self.trained.items():
            for key in ("step", "exp_avg", "exp_avg_sq"):
                value = tensors[f"optimizer/{key}/{name}"]
                self.inner.state[p][key] = value if key == "step" else value.to(p.device)
        logger.info("resuming at step %d, where an earlier run stopped", self.state.step)

    def _set_weights(self, weights: Tensors) -> None:
        with torch.no_grad():
            for name, p in self.trained.items():
                p.copy_(weights[name])
