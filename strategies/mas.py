"""Memory aware synapses (Aljundi et al. 2018): a weight matters by how much the outputs feel it.

Its importance is the mean over examples of |∂‖f(x)‖² / ∂w|, f the logits: no label is needed. To the loss of each
example of the next update is added, in effect, λ/2 Σ Ω (w - w*)² (the paper's λ is λ/2), and Ω runs through all
updates (:mod:`strategies.anchored`).

Guarantees:

1. The magnitude is taken of each example's own gradient, exact for every weight that ``tune`` moves
   (:mod:`strategies.gradients`): it means the same at every batch size.
2. It is measured on at most ``sample_ratio`` of the examples that the update trained, new events drawn at random:
   what it costs stays a fixed share of an update.
"""

from __future__ import annotations

from torch import Tensor

from strategies.anchored import Anchored, sampled
from strategies.base import Batch, Outputs, TrainContext
from strategies.gradients import mean_gradients
from strategies.mas_options import MasOptions
from strategies.measures import MAGNITUDE


class Mas(Anchored):
    """State: the running importance, by the names of ``Model.trainable``."""

    def __init__(self, options: MasOptions) -> None:
        super().__init__(options.strength, options.decay_ratio)
        self._options = options

    def consolidate(self, context: TrainContext) -> None:
        chosen = sampled(context, self._options.sample_ratio, self._options.max_examples)
        self.keep(mean_gradients(context, chosen, squared_length, MAGNITUDE))


def squared_length(outputs: Outputs, batch: Batch) -> Tensor:
    """‖logits‖², summed over the batch."""
    return outputs.logits.square().sum()
