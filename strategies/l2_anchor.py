"""L2-SP: an L2 penalty towards the starting point instead of towards 0 (Li, Grandvalet & Davoine 2018).

To the loss of each example is added, in effect, α/2 Σ (w - w*)² over the weights that the parent had, w* where
the update found them, and β/2 Σ w² over the head's rows of new classes. Its gradient is added to ``.grad`` in
place, before clipping; the loss shown is without it. Nothing is kept from one update to the next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.base import BaseStrategy, TrainContext
from strategies.l2_anchor_options import L2AnchorOptions

_HEAD = "head."


class L2Anchor(BaseStrategy):
    def __init__(self, options: L2AnchorOptions) -> None:
        self._options = options
        self._anchors: dict[str, Tensor] = {}
        self._old_classes = 0

    def begin(self, context: TrainContext) -> None:
        """The weights are still the parent's: they are the anchor."""
        self._old_classes = context.old_classes
        self._anchors = {name: weights.detach().clone() for name, weights in context.model.trainable()}

    @torch.no_grad()
    def on_gradients(self, context: TrainContext) -> None:
        for name, weights in context.model.trainable():
            if weights.grad is None:
                continue
            pull = self._options.strength * (weights - self._anchors[name])
            if name.startswith(_HEAD) and context.labels:
                pull[self._old_classes :] = self._options.new_strength * weights[self._old_classes :]
            weights.grad.add_(pull)
