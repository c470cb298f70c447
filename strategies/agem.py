"""A-GEM, averaged gradient episodic memory (Chaudhry et al. 2019): no step may undo what stored events teach.

With g the step's gradient and r that of the task's loss on events drawn from the replay pool: where g·r < 0, g becomes
g - (g·r / r·r) r, which is as near to g as can be and raises the loss on the memory no more. Both run over all
weights that move.

The reference is drawn anew at each step, as ``replay`` draws, ``ratio`` events for each new one, and is not trained
on: it costs as much as training them (a forward and a backward pass), without their use, and is not counted
among the trained samples. Hence with ``ratio`` 1 an update costs what one with ``replay`` does; ``interval`` n takes r
every n-th step and keeps it in between, at 1/n of that. Nothing is done while nothing is stored.

g is the gradient as it stands when this one is asked: a penalty of a strategy behind it in the list is not projected.
The paper steps by plain descent; here the optimiser scales g weight by weight, and the step that follows keeps
the promise approximately.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from strategies.agem_options import AgemOptions
from strategies.base import BaseStrategy, Example, PlanStats, PoolRequest, TrainContext
from strategies.replay import Replay
from strategies.replay_options import ReplayOptions


class Agem(BaseStrategy):
    """Keeps nothing from one update to the next."""

    def __init__(self, options: AgemOptions) -> None:
        self._interval = options.interval
        self._memory = Replay(ReplayOptions(ratio=options.ratio, pool_factor=options.pool_factor))
        self._drawn: Sequence[Example] = ()
        self._reference: list[Tensor] = []

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        return self._memory.plan(stats)

    def begin(self, context: TrainContext) -> None:
        self._memory.begin(context)
        self._drawn, self._reference = (), []

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        """The batch as it is; the reference of this step is drawn beside it."""
        self._drawn = ()
        if context.step % self._interval == 0:
            new = [example for example in batch if not example.replayed]
            self._drawn = self._memory.extend(context, new)[len(new) :]
        return batch

    def on_gradients(self, context: TrainContext) -> None:
        weights = [weights for _, weights in context.model.trainable()]
        if self._drawn:
            batch = context.collate(self._drawn)
            losses = context.task_loss(context.model.forward(self._drawn), batch)
            mean = (losses * batch.weights).sum() / batch.weights.sum().clamp_min(1e-12)
            self._reference = list(torch.autograd.grad(mean, weights, allow_unused=True, materialize_grads=True))
        if self._reference:
            project(weights, self._reference)


@torch.no_grad()
def project(weights: Sequence[Tensor], reference: Sequence[Tensor]) -> None:
    """Change ``.grad`` of ``weights`` in place where it points against ``reference``."""
    moved = [(tensor.grad, towards) for tensor, towards in zip(weights, reference, strict=True)]
    both = [(gradient, towards) for gradient, towards in moved if gradient is not None]
    along = sum(float((gradient * towards).sum()) for gradient, towards in both)
    if along < 0:
        length = sum(float(towards.square().sum()) for _, towards in both)
        for gradient, towards in both:
            gradient.sub_(towards, alpha=along / length)
