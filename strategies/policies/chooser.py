"""Policies that choose by what the parent's model makes of the events: more are drawn than are replayed.

Guarantees:

1. At most ``candidates_factor`` times one epoch's replayed events go through the parent, once and without
   gradients. Beside the training of e epochs, three such passes a text, with r replayed for each new one,
   that is ``candidates_factor`` x r / (3 x e x (1 + r)) of its compute: an eighth with the defaults.
2. What is chosen is replayed again in every epoch: one epoch's number of events.
3. While the parent knows no classes, or the candidates are no more than wanted, there is nothing to choose by
   or from: the parent is not asked, and classes have equal shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated

from pydantic import Field

from strategies.base import Example, PoolRequest, TrainContext
from strategies.policies.base import Policy
from strategies.policies.shares import spread


class Chooser(Policy):
    """``select`` is what differs."""

    candidates_factor: Annotated[float, Field(ge=1, le=16)] = 3.0
    """So many events are drawn, classes in equal shares, for each that is chosen; each costs a forward pass."""

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(ceil(epoch * self.candidates_factor), "balanced"),)

    def choose(self, context: TrainContext, epoch: int) -> Sequence[Example]:
        most = ceil(epoch * self.candidates_factor)
        pool = context.pool
        candidates = pool if len(pool) <= most else context.rng.sample(pool, most)
        if len(candidates) <= epoch or context.old_classes == 0:
            return spread(candidates, epoch)
        return self.select(context, candidates, epoch)

    def select(self, context: TrainContext, candidates: Sequence[Example], n: int) -> Sequence[Example]:
        """``n`` of ``candidates``, which are more."""
        raise NotImplementedError
