"""Epochs and steps: the one place that calls ``backward`` and ``step``.

Order of a step: new examples -> each strategy's ``extend`` -> forward -> weighted mean of the task's
loss -> + each strategy's ``loss`` -> backward -> each strategy's ``on_gradients`` -> clip -> step.

Guarantees:

1. Every new example is trained once an epoch, in an order that the seed alone decides.
2. Where loss or gradient is not finite nothing is stepped: NonFiniteLoss.
3. With ``patience``, the weights at the end are those of the epoch with the lowest validation loss.
4. Strategies look back at the weights that stay, wherever on the way from the parent's these are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from daemon.config.task import Training
from daemon.errors import NonFiniteLoss
from daemon.training.averaging import Averaging
from daemon.training.context import LoopContext
from daemon.training.depth import depths
from daemon.training.optimiser import NO_DEPTHS, make_optimiser, make_schedule
from daemon.training.precision import forward_in
from daemon.training.progress import Progress
from strategies.base import Batch, Example, Outputs, Strategy

_EVALUATED = 64
"""Validation examples of one forward pass."""


@dataclass(slots=True)
class Trained:
    """What a training was. ``samples``: examples forwarded to learn, new and replayed; ``losses``: the mean
    of each epoch's steps; ``validation_losses``: after each epoch (empty without ``patience``);
    ``best_epoch``: the epoch whose weights were kept, from 0."""

    steps: int = 0
    samples: int = 0
    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_epoch: int = 0

    def metrics(self) -> Mapping[str, Any]:
        return {
            "steps": self.steps,
            "trained_samples": self.samples,
            "loss": self.losses[-1],
            "epoch_losses": self.losses,
            "epoch_validation_losses": self.validation_losses,
            "best_epoch": self.best_epoch,
        }


def steps_in(examples: int, training: Training) -> int:
    """Steps of a whole training on ``examples`` new examples."""
    return math.ceil(examples / training.batch_size) * training.epochs


class Loop:
    """One training of ``context.model``, in place."""

    def __init__(
        self, context: LoopContext, strategies: Sequence[Strategy], training: Training, progress: Progress
    ) -> None:
        """Raises TrainingError where no weight moves, ConfigError where ``layer_decay_ratio`` finds no layers."""
        self._context = context
        self._strategies = strategies
        self._training = training
        self._progress = progress
        named = list(context.model.trainable())
        self._weights = [weights for _, weights in named]
        below = NO_DEPTHS if training.layer_decay_ratio == 1 else depths(context.tuned)
        self._optimiser = make_optimiser(named, training, below)
        self._averaging = Averaging(named, context.old_classes)
        self._schedule = make_schedule(self._optimiser, context.total_steps, training.warmup_ratio)
        self._shuffler = random.Random(context.rng.getrandbits(64))
        self._forward = forward_in(training.precision, context.model, context.device)
        self._done = Trained()

    def run(self, validation: Sequence[Example]) -> Trained:
        """All epochs, or until ``patience`` is at its end. Raises NonFiniteLoss."""
        context, done = self._context, self._done
        watched = bool(self._training.patience and validation)
        best: list[Tensor] | None = None
        for strategy in self._strategies:
            strategy.begin(context)
        for epoch in range(self._training.epochs):
            context.epoch = epoch
            self._epoch()
            if not watched:
                done.best_epoch = epoch
                continue
            done.validation_losses.append(self._evaluate(validation))
            if done.validation_losses[-1] == min(done.validation_losses):
                done.best_epoch = epoch
                best = [weights.detach().clone() for weights in self._weights]
            elif epoch - done.best_epoch >= self._training.patience:
                break
        if best is not None:
            with torch.no_grad():
                for weights, kept in zip(self._weights, best, strict=True):
                    weights.copy_(kept)
        context.tuned.eval()
        return done

    def go(self, ratio: float) -> None:
        """After :meth:`run`: leave the weights so far on the way from the parent's to the trained ones."""
        self._averaging.apply(ratio)

    def consolidate(self) -> None:
        """At last strategies look back."""
        for strategy in self._strategies:
            strategy.consolidate(self._context)

    def _epoch(self) -> None:
        order = list(self._context.new)
        self._shuffler.shuffle(order)
        losses = []
        self._context.tuned.train()
        for start in range(0, len(order), self._training.batch_size):
            self._context.step = self._done.steps
            losses.append(self._step(order[start : start + self._training.batch_size]))
            self._done.steps += 1
            self._progress.at(self._done.steps, self._context.total_steps, losses[-1])
        self._done.losses.append(math.fsum(losses) / len(losses))

    def _step(self, new: Sequence[Example]) -> float:
        context = self._context
        examples = new
        for strategy in self._strategies:
            examples = strategy.extend(context, examples)
        batch = context.collate(examples)
        outputs = self._forward(examples)
        loss = _mean_loss(context, batch, outputs)
        for strategy in self._strategies:
            term = strategy.loss(context, batch, outputs)
            if term is not None:
                loss = loss + term
        value = self._finite(loss.item(), "loss")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for strategy in self._strategies:
            strategy.on_gradients(context)
        norm = clip_grad_norm_(self._weights, self._training.max_grad_norm)
        self._finite(norm.item(), "norm of the gradient")
        self._optimiser.step()
        self._schedule.step()
        self._done.samples += len(examples)
        return value

    @torch.no_grad()
    def _evaluate(self, validation: Sequence[Example]) -> float:
        """The weighted mean loss over validation examples."""
        context = self._context
        context.tuned.eval()
        total = weight = 0.0
        for start in range(0, len(validation), _EVALUATED):
            examples = validation[start : start + _EVALUATED]
            batch = context.collate(examples)
            here = float(batch.weights.sum())
            total += here * _mean_loss(context, batch, context.model.forward(examples)).item()
            weight += here
        return self._finite(total / max(weight, 1e-12), "validation loss")

    def _finite(self, value: float, what: str) -> float:
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"{what}: {value} at step {self._context.step} of {self._context.total_steps}; "
                f"lower training.learning_rate ({self._training.learning_rate}) or training.head_learning_rate "
                f"({self._training.head_learning_rate}), or look for broken texts in the job's new.jsonl"
            )
        return value


def _mean_loss(context: LoopContext, batch: Batch, outputs: Outputs) -> Tensor:
    """The weighted mean over examples; 0 where every weight is 0."""
    losses = context.task_loss(outputs, batch)
    return (losses * batch.weights).sum() / batch.weights.sum().clamp_min(1e-12)
