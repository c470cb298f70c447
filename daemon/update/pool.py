"""The replay pool of a job: what the strategies ask for, drawn from the buffer.

Guarantees:

1. The pool holds each event once, none of the new ones, and only what teaches.
2. Requests of one strategy add up: what an earlier one drew is not drawn again. Requests of different strategies share
   events where they can.
3. A draw reads what the buffer's sample reads (:class:`daemon.buffer.ports.BufferReader`): never all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from daemon.buffer.ports import BufferReader
from daemon.events import StoredEvent
from strategies.base import PlanStats, PoolRequest, Strategy


@dataclass(frozen=True, slots=True)
class PoolSource:
    """Where a job's pool comes from. ``new``: the job's new events, oldest first; ``cursor``: nothing after it."""

    buffer: BufferReader
    task: str
    new: Sequence[StoredEvent]
    teaches: Callable[[StoredEvent], bool]
    cursor: int

    def pool(self, strategies: Sequence[Strategy], stats: PlanStats) -> list[StoredEvent]:
        """What ``strategies`` plan for an update of ``stats``, whose seed decides what is drawn."""
        fresh = {event.id for event in self.new}
        pool: dict[str, StoredEvent] = {}
        for strategy in strategies:
            mine: set[str] = set()
            for request in strategy.plan(stats):
                wanted = min(request.n, stats.stored_events)
                drawn = DRAWS[request.policy](self, request, wanted + len(mine), stats.seed)
                found = [e for e in drawn if self.teaches(e) and e.id not in fresh and e.id not in mine][:wanted]
                mine.update(event.id for event in found)
                pool.update((event.id, event) for event in found)
        return list(pool.values())


Draw = Callable[[PoolSource, PoolRequest, int, int], Sequence[StoredEvent]]
"""(source, request, how many older events, seed): so many, and perhaps new ones among them; a front of them is a
smaller draw."""


def _sample(source: PoolSource, request: PoolRequest, n: int, seed: int, *, balanced: bool) -> Sequence[StoredEvent]:
    n += len(source.new)
    return source.buffer.sample(source.task, n, balanced=balanced, seed=seed, before_seq=source.cursor)


def _recent(source: PoolSource, request: PoolRequest, n: int, seed: int) -> Sequence[StoredEvent]:
    before = source.new[0].seq - 1 if source.new else source.cursor
    return source.buffer.recent(source.task, n, half_life=request.half_life_events, seed=seed, before_seq=before)


def _reservoir(source: PoolSource, request: PoolRequest, n: int, seed: int) -> Sequence[StoredEvent]:
    return source.buffer.reservoir(source.task, n + len(source.new), before_seq=source.cursor)


DRAWS: Mapping[str, Draw] = MappingProxyType(
    {
        "balanced": partial(_sample, balanced=True),
        "uniform": partial(_sample, balanced=False),
        "recent": _recent,
        "reservoir": _reservoir,
    }
)
"""By ``PoolRequest.policy``."""
