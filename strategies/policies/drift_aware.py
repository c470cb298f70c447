"""Stored events that the new ones contradict count for less.

Guarantees:

1. Only events of a class that is found changed (:mod:`strategies.policies.changes`), and of those only the ones
   whose nearest class by the new events is another, get ``stale_weight_ratio``; at 0 they are left out.
   Everything else is replayed as by ``balanced``.
2. At most ``judged_per_class`` events of a class, new and stored, go through the parent once, without gradients, and
   all the stored ones of the pool where the class is found changed. Where no class has new events beside
   stored ones, or the parent knows no classes, none does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from strategies.base import Example, PoolRequest, TrainContext
from strategies.policies.base import Policy
from strategies.policies.changes import MIN_EVENTS, Present, changed
from strategies.policies.parent import Array, features
from strategies.policies.shares import by_class


class DriftAware(Policy):
    """As ``balanced``; of a class whose meaning changed, the stored events that new ones contradict count for less."""

    kind: Literal["drift_aware"] = "drift_aware"
    stale_weight_ratio: Annotated[float, Field(ge=0, le=1)] = 0.25
    """What a contradicted event still weighs; 0: it is left out."""
    alpha_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """How probable it may be, in an update without any change, that some class is called changed."""
    min_drop_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """By so much fewer of a class's stored events than of its new ones must agree with its new meaning."""
    judged_per_class: Annotated[int, Field(ge=MIN_EVENTS)] = 32
    """Events of a class, new and stored, that the test looks at: its cost."""

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(pool, "balanced"),)

    def choose(self, context: TrainContext, epoch: int) -> Sequence[Example]:
        stored = by_class(context.pool)
        fresh = {name: some for name, some in by_class(context.new).items() if len(some) >= MIN_EVENTS}
        shared = [name for name in fresh if name in stored]
        if not shared or context.old_classes == 0:
            return context.pool
        now = self._seen(context, fresh)
        before = self._seen(context, {name: stored[name] for name in shared})
        stale: set[str] = set()
        for name in changed(now, before, self.alpha_ratio, self.min_drop_ratio):
            agree = Present(now).agree(name, features(context, stored[name]))
            stale |= {example.event_id for example, still in zip(stored[name], agree, strict=True) if not still}
        weighed = [self._weighed(example, example.event_id in stale) for example in context.pool]
        return [example for example in weighed if example.weight > 0]

    def _seen(self, context: TrainContext, classes: Mapping[str, Sequence[Example]]) -> Mapping[str, Array]:
        """Features by class, of a random ``judged_per_class``."""
        most = self.judged_per_class
        chosen = {
            name: members if len(members) <= most else context.rng.sample(members, most)
            for name, members in classes.items()
        }
        return {name: features(context, members) for name, members in chosen.items()}

    def _weighed(self, example: Example, stale: bool) -> Example:
        return replace(example, weight=example.weight * self.stale_weight_ratio) if stale else example
