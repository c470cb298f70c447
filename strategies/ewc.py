"""Online elastic weight consolidation (Kirkpatrick et al. 2017; one running Fisher as in Schwarz et al. 2018).

To the loss of each example is added, in effect, λ/2 Σ F (w - w*)²: w* is where the update found the weights
(the parent's), F the running diagonal Fisher information, F ← γF + F_new after each update
(:mod:`strategies.anchored`).

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

from strategies.anchored import Anchored, sampled
from strategies.base import TrainContext
from strategies.ewc_options import EwcOptions
from strategies.fisher import diagonal_fisher


class Ewc(Anchored):
    """State: the running Fisher, by the names of ``Model.trainable``."""

    def __init__(self, options: EwcOptions) -> None:
        super().__init__(options.strength, options.decay_ratio)
        self._options = options

    def consolidate(self, context: TrainContext) -> None:
        chosen = sampled(context, self._options.fisher_ratio, self._options.max_fisher_examples)
        self.keep(diagonal_fisher(context, chosen))
