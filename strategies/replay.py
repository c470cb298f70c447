"""Experience replay from all stored history at a fixed compute budget (Rolnick et al. 2019).

Each step trains ``ratio`` old events for every new one. They come from a pool that the daemon drew
from the whole buffer when the job was made, so the cost of an update does not grow with history.
Which events those are is the policy's (:mod:`strategies.policies`).

Guarantees:

1. An epoch over n new events replays n x ratio old ones, to within one (fractions are carried over
   from step to step); nothing is replayed while nothing is stored.
2. No event that the policy chose is drawn a second time before every other one was drawn.
3. The pool is bounded whatever is stored: by n x ratio x ``pool_factor``, or by what the policy states.

No torch: the daemon's side plans with the same class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from strategies.base import BaseStrategy, Example, PlanStats, PoolRequest, TrainContext
from strategies.replay_options import ReplayOptions


class Replay(BaseStrategy):
    """Old events beside the new ones. Keeps nothing from one update to the next."""

    def __init__(self, options: ReplayOptions) -> None:
        self._options = options
        self._pool: Sequence[Example] = ()
        self._order: list[int] = []
        self._owed = 0.0
        self._weight = 1.0

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        """The policy's requests. More passes over the pool than epochs never happen, so fewer epochs ask for less."""
        passes = min(self._options.pool_factor, float(stats.epochs))
        epoch = stats.new_events * self._options.ratio
        if not epoch or not stats.stored_events:
            return ()
        asked = self._options.policy.plan(ceil(epoch * passes), ceil(epoch))
        return tuple(replace(request, n=min(request.n, stats.stored_events)) for request in asked)

    def begin(self, context: TrainContext) -> None:
        self._order, self._owed = [], 0.0
        self._pool = self._options.policy.choose(context, ceil(len(context.new) * self._options.ratio))
        old, new = (len({example.label for example in side}) for side in (self._pool, context.new))
        self._weight = max(1.0, old / max(1, new) / self._options.ratio) ** self._options.balance_ratio

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        """``batch``, then round(len(batch) x ratio) examples of the pool."""
        if not self._pool:
            return batch
        self._owed += len(batch) * self._options.ratio
        count = int(self._owed)
        self._owed -= count
        return [*batch, *(self._replayed(self._pool[self._draw(context)]) for _ in range(count))]

    def _replayed(self, example: Example) -> Example:
        return replace(example, replayed=True, weight=example.weight * self._weight)

    def _draw(self, context: TrainContext) -> int:
        if not self._order:
            self._order = list(range(len(self._pool)))
            context.rng.shuffle(self._order)
        return self._order.pop()
