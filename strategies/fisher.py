"""The diagonal of the Fisher information: the mean over examples of each example's squared gradient.

It is the *empirical* Fisher: the gradient of the task's loss at the label that was observed. Exact for
every weight that moves, however examples are batched (``strategies.gradients``).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from strategies.base import Batch, Example, Outputs, TrainContext
from strategies.gradients import mean_gradients
from strategies.measures import SQUARE


def diagonal_fisher(context: TrainContext, examples: Sequence[Example]) -> dict[str, Tensor]:
    """By name of ``context.model.trainable()``, each of its parameter's shape; zeros without examples.

    Leaves ``.grad`` alone. Examples weigh alike, whatever their ``weight``.
    """

    def loss(outputs: Outputs, batch: Batch) -> Tensor:
        return context.task_loss(outputs, batch).sum()

    return mean_gradients(context, examples, loss, SQUARE)
