"""Samples of labelled train events that favour the newest: the chance halves with every so many events of age.

1. An event's age is how many labelled train events of its task changed after it, up to ``before_seq``. Events
   are drawn one after another without putting back, each in proportion to 2^(-age / half_life).
2. The same seed on the same content draws the same events in the same order; no event is drawn twice.
3. Entries of the index on ``seq`` are read, newest first: max(n, REACH half-lives), whatever is stored. What is
   older has less than a thousandth of the newest event's chance, and is never drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from math import log
from random import Random

import apsw

from daemon.buffer.query import query
from daemon.buffer.rows import EVENT_COLUMNS, stored_event
from daemon.buffer.split import TRAIN
from daemon.events import StoredEvent

REACH = 10
"""Half-lives that are looked back."""

_TINY = 5e-324
_NEWEST = (
    f"SELECT row FROM events WHERE task = ? AND split = {TRAIN} AND seq <= ? "
    "AND label IS NOT NULL AND erased = 0 ORDER BY seq DESC LIMIT ?"
)
_ROW = f"SELECT {EVENT_COLUMNS} FROM events WHERE row = ?"


def draw(
    connection: apsw.Connection,
    task: str,
    task_id: int,
    n: int,
    *,
    half_life: int,
    seed: int,
    before_seq: int | None,
) -> list[StoredEvent]:
    """At most ``n`` events, in the order drawn; ``half_life`` in events. Inside a read transaction of the caller's."""
    before = 2**62 if before_seq is None else before_seq
    newest = query(connection, _NEWEST, (task_id, before, max(n, REACH * half_life)))
    keyed = zip(_keys(half_life, Random(seed)), newest, strict=False)
    drawn = [row for _, row in nsmallest(n, keyed)]
    return [stored_event(task, values) for values in connection.executemany(_ROW, drawn)]


def _keys(half_life: int, random: Random) -> Iterator[float]:
    """By age: the smallest keys are a weighted sample without putting back (Efraimidis & Spirakis 2006)."""
    step, age = log(2) / half_life, 0
    while True:
        yield log(random.expovariate(1.0) or _TINY) + age * step
        age += 1
