"""Learning without forgetting (Li & Hoiem 2016): on classes that the parent knew, answers stay near the parent's.

To the loss of each example of a step, new or replayed, is added λ T² KL(parent ‖ model) between softmax(logits / T)
over the parent's classes; rows of classes that it did not know are masked. (The paper's cross-entropy with the parent's
answer differs by a constant, so that gradients are the same; T² keeps their size from falling with T, Hinton et al.
2015.) No stored event is needed; with ``replay`` beside it old events are distilled too.

The parent's logits are computed once for each event (:mod:`strategies.parent`). In a task's first update, and where the
parent knew one class only, there is nothing to keep.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from strategies.base import BaseStrategy, Batch, Outputs, TrainContext
from strategies.lwf_options import LwfOptions
from strategies.parent import ParentLogits, row_counts, weighted_mean


class Lwf(BaseStrategy):
    """Keeps nothing from one update to the next."""

    def __init__(self, options: LwfOptions) -> None:
        self._options = options
        self._parent = ParentLogits()

    def begin(self, context: TrainContext) -> None:
        self._parent = ParentLogits()

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        if context.old_classes < 2:
            return None
        heat = self._options.temperature
        parent = log_softmax(self._parent.of(context, batch.examples) / heat, -1)
        model = log_softmax(outputs.logits[:, : context.old_classes] / heat, -1)
        apart = kl_div(model, parent, reduction="none", log_target=True).sum(-1)
        counts = row_counts(outputs, len(batch.examples))
        return self._options.strength * heat**2 * weighted_mean(apart, counts, batch.weights)
