"""Synaptic intelligence (Zenke, Poole & Ganguli 2017): a weight matters by how much of the loss it took down.

Over the steps of an update ω = -Σ g Δw is the part of the loss's fall that each weight brought about; its
importance is Ω_new = max(0, ω) / (Δ² + ξ), Δ the way that it went in the whole update. To the loss of each
example of the next update is added, in effect, λ/2 Σ Ω (w - w*)² (the paper's c is λ/2), and Ω runs through all
updates (:mod:`strategies.anchored`). It looks at no example again: the cost is a few additions a step, and four
further copies of the weights that move.

Guarantees:

1. g is the gradient of the loss with the terms of all strategies, as it stands when this one is asked, before
   clipping and without its own penalty. Behind ``ewc`` or ``mas`` in the list their pull would count: put it in front.
2. Importance is never below 0.
3. Only the way that steps went counts: weights that are put back to an earlier epoch (``training.patience``) or
   averaged with the parent's (``training.wise_ft_ratio``) afterwards change nothing. The last step, the shortest, is
   not seen; an update of one step finds no importance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.anchored import Anchored
from strategies.base import TrainContext
from strategies.si_options import SiOptions


class Si(Anchored):
    """State: the running importance, by the names of ``Model.trainable``."""

    def __init__(self, options: SiOptions) -> None:
        super().__init__(options.strength, options.decay_ratio)
        self._damping = options.damping
        self._moving: list[Tensor] = []
        self._start: list[Tensor] = []
        self._before: list[Tensor] = []
        self._falls: list[Tensor] = []
        self._gradients: list[Tensor] = []

    def begin(self, context: TrainContext) -> None:
        super().begin(context)
        self._moving = [weights for _, weights in context.model.trainable()]
        self._start = [weights.detach().clone() for weights in self._moving]
        self._before = [weights.clone() for weights in self._start]
        self._falls = [torch.zeros_like(weights) for weights in self._start]
        self._gradients = []

    @torch.no_grad()
    def on_gradients(self, context: TrainContext) -> None:
        """What the step before this one did; then the penalty's gradient."""
        if self._gradients:
            now = [weights.detach() for weights in self._moving]
            steps = torch._foreach_sub(now, self._before)
            torch._foreach_addcmul_(self._falls, self._gradients, steps, value=-1.0)
            torch._foreach_copy_(self._before, now)
        self._gradients = [
            torch.zeros_like(weights) if weights.grad is None else weights.grad.clone() for weights in self._moving
        ]
        super().on_gradients(context)

    @torch.no_grad()
    def consolidate(self, context: TrainContext) -> None:
        names = [name for name, _ in context.model.trainable()]
        fresh = {}
        for name, fall, before, start in zip(names, self._falls, self._before, self._start, strict=True):
            fresh[name] = fall.clamp(min=0) / ((before - start).square() + self._damping)
        self.keep(fresh)
