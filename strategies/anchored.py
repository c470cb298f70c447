"""Weights held where the update found them, each by its importance: what ``ewc``, ``si`` and ``mas`` share.

To the loss of each example is added, in effect, λ/2 Σ Ω (w - w*)²: w* is where the update found the weights
(the parent's), Ω their importance. A method says in ``consolidate`` how important weights were; this keeps the
running sum Ω ← γΩ + Ω_new, so that size and cost do not grow with the number of updates.

Guarantees:

1. The penalty's gradient λΩ(w - w*) is added to ``.grad`` in place, before clipping; the loss shown is without it.
2. Rows of classes that the parent did not know have Ω = 0. So has every parameter that it did not move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import torch
from torch import Tensor

from strategies.base import BaseStrategy, Example, TrainContext

_MIN_EXAMPLES = 32
"""Of these importance is measured on in the smallest update, if it has so many."""


class Anchored(BaseStrategy):
    """State: the running importance, by the names of ``Model.trainable``. ``strength``: λ; ``decay_ratio``: γ."""

    def __init__(self, strength: float, decay_ratio: float) -> None:
        self._strength = strength
        self._decay_ratio = decay_ratio
        self._importance: dict[str, Tensor] = {}
        self._weights: list[Tensor] = []
        self._anchors: list[Tensor] = []
        self._pulls: list[Tensor] = []

    def begin(self, context: TrainContext) -> None:
        """The weights are still the parent's: they are the anchor."""
        named = dict(context.model.trainable())
        fitted = {name: _fit(self._importance.get(name), weights) for name, weights in named.items()}
        self._importance = {name: importance for name, importance in fitted.items() if importance is not None}
        self._weights = [named[name] for name in self._importance]
        self._anchors = [weights.detach().clone() for weights in self._weights]
        self._pulls = [importance * self._strength for importance in self._importance.values()]

    @torch.no_grad()
    def on_gradients(self, context: TrainContext) -> None:
        """``.grad`` += λΩ(w - w*)."""
        moved = [i for i, weights in enumerate(self._weights) if weights.grad is not None]
        if not moved:
            return
        gradients = [gradient for i in moved if (gradient := self._weights[i].grad) is not None]
        steps = torch._foreach_sub([self._weights[i] for i in moved], [self._anchors[i] for i in moved])
        torch._foreach_addcmul_(gradients, steps, [self._pulls[i] for i in moved])

    def keep(self, fresh: dict[str, Tensor]) -> None:
        """Ω ← γΩ + ``fresh``, which holds every trainable name and is kept."""
        for name, importance in self._importance.items():
            fresh[name].add_(importance, alpha=self._decay_ratio)
        self._importance = fresh

    def state_dict(self) -> Mapping[str, Tensor]:
        return dict(self._importance)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._importance = dict(state)


def sampled(context: TrainContext, ratio: float, most: int) -> Sequence[Example]:
    """New events drawn at random, ``ratio`` of the examples that the update trains and ``most`` at most: what it
    costs to measure on them stays a fixed share of an update."""
    trained = context.total_steps * context.batch_size
    wanted = max(_MIN_EXAMPLES, ceil(trained * ratio))
    return context.rng.sample(context.new, min(wanted, most, len(context.new)))


def _fit(importance: Tensor | None, weights: Tensor) -> Tensor | None:
    """Zeros for rows that are new; None where the parameter is new or has another shape: it starts afresh."""
    if importance is None or importance.dim() != weights.dim() or importance.shape[1:] != weights.shape[1:]:
        return None
    if importance.shape == weights.shape:
        return importance.to(weights)
    if len(importance) > len(weights):
        return None
    fitted = torch.zeros_like(weights)
    fitted[: len(importance)] = importance.to(weights)
    return fitted
