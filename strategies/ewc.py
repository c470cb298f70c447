"""Online elastic weight consolidation (Kirkpatrick et al. 2017; one running Fisher as in Schwarz et al. 2018).

To the loss of each example is added, in effect, λ/2 Σ F (w - w*)²: w* is where the update found the weights
(the parent's), F the running diagonal Fisher information, F ← γF + F_new after each update, so that its size
and cost do not grow with the number of updates.

Guarantees:

1. F_new is the mean over examples of squared per-example gradients (:mod:`strategies.fisher`), and the loss is
   a mean over examples: λ means the same at every batch size.
2. All that ``tune`` moves is held: weights and biases of linear layers, norms, embeddings, LoRA matrices, the
   head. F is exact for each (empirical: at the observed labels).
3. The penalty's gradient λF(w - w*) is added to ``.grad`` in place, before clipping; the loss shown is without it.
4. Rows of classes that the parent did not know have F = 0. So has every parameter that it did not move.
5. F is measured on at most ``fisher_ratio`` of the examples that the update trained, new events drawn at
   random: what it costs stays a fixed share of an update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import torch
from torch import Tensor

from strategies.base import BaseStrategy, Example, TrainContext
from strategies.ewc_options import EwcOptions
from strategies.fisher import diagonal_fisher

_MIN_EXAMPLES = 32
"""Of these the Fisher is measured on in the smallest update, if it has so many."""


class Ewc(BaseStrategy):
    """State: the running Fisher, by the names of ``Model.trainable``."""

    def __init__(self, options: EwcOptions) -> None:
        self._options = options
        self._fisher: dict[str, Tensor] = {}
        self._weights: list[Tensor] = []
        self._anchors: list[Tensor] = []
        self._pulls: list[Tensor] = []

    def begin(self, context: TrainContext) -> None:
        """The weights are still the parent's: they are the anchor."""
        named = dict(context.model.trainable())
        fitted = {name: _fit(self._fisher.get(name), weights) for name, weights in named.items()}
        self._fisher = {name: fisher for name, fisher in fitted.items() if fisher is not None}
        self._weights = [named[name] for name in self._fisher]
        self._anchors = [weights.detach().clone() for weights in self._weights]
        self._pulls = [fisher * self._options.strength for fisher in self._fisher.values()]

    @torch.no_grad()
    def on_gradients(self, context: TrainContext) -> None:
        """``.grad`` += λF(w - w*)."""
        moved = [i for i, weights in enumerate(self._weights) if weights.grad is not None]
        if not moved:
            return
        gradients = [gradient for i in moved if (gradient := self._weights[i].grad) is not None]
        steps = torch._foreach_sub([self._weights[i] for i in moved], [self._anchors[i] for i in moved])
        torch._foreach_addcmul_(gradients, steps, [self._pulls[i] for i in moved])

    def consolidate(self, context: TrainContext) -> None:
        fresh = diagonal_fisher(context, self._sample(context))
        for name, fisher in self._fisher.items():
            fresh[name].add_(fisher, alpha=self._options.decay_ratio)
        self._fisher = fresh

    def _sample(self, context: TrainContext) -> Sequence[Example]:
        trained = context.total_steps * context.batch_size
        wanted = max(_MIN_EXAMPLES, ceil(trained * self._options.fisher_ratio))
        return context.rng.sample(context.new, min(wanted, self._options.max_fisher_examples, len(context.new)))

    def state_dict(self) -> Mapping[str, Tensor]:
        return dict(self._fisher)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._fisher = dict(state)


def _fit(fisher: Tensor | None, weights: Tensor) -> Tensor | None:
    """Zeros for rows that are new; None where the parameter is new or has another shape: it starts afresh."""
    if fisher is None or fisher.dim() != weights.dim() or fisher.shape[1:] != weights.shape[1:]:
        return None
    if fisher.shape == weights.shape:
        return fisher.to(weights)
    if len(fisher) > len(weights):
        return None
    fitted = torch.zeros_like(weights)
    fitted[: len(fisher)] = fisher.to(weights)
    return fitted
