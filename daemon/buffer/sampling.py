"""Samples of labelled train events without a scan: the n-th row of a class is one index look-up.

1. The same seed on the same content draws the same events; no event is drawn twice.
2. ``balanced`` gives each class the same number while it has that many, and shares out what small classes lack.
3. With ``before_seq`` rows are drawn and rejected, at most TRIES_PER_EVENT for each event asked for; what is
   missing then is topped up with the newest allowed events through the index on ``seq``.

:mod:`daemon.buffer.recent` and :mod:`daemon.buffer.reservoir` draw by age and by hash.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice
from random import Random

import apsw

from daemon.buffer.query import query
from daemon.buffer.rows import EVENT_COLUMNS, stored_event
from daemon.buffer.split import TRAIN
from daemon.events import StoredEvent

TRIES_PER_EVENT = 8

Place = tuple[int, int]
"""(class, n)"""

_CLASSES = "SELECT id, train_rows FROM classes WHERE task = ? AND train_rows > 0 ORDER BY id"
_ROW = f"SELECT {EVENT_COLUMNS}, row FROM events WHERE row = (SELECT event FROM class_rows WHERE class = ? AND n = ?)"
"""As a sub-select: a join of the two takes five times as long for one row."""
NEWEST = (
    f"SELECT {EVENT_COLUMNS}, row FROM events WHERE task = ? AND split = {TRAIN} AND seq <= ? "
    "AND label IS NOT NULL AND erased = 0 ORDER BY seq DESC LIMIT ?"
)


def draw(
    connection: apsw.Connection, task: str, task_id: int, n: int, *, balanced: bool, seed: int, before_seq: int | None
) -> list[StoredEvent]:
    """At most ``n`` events in random order; inside a read transaction of the caller's."""
    classes: list[Place] = [(id_, rows) for id_, rows in query(connection, _CLASSES, (task_id,))]
    random = Random(seed)
    places = _balanced(classes, random) if balanced else [_uniform(classes, random)]
    taken: dict[int, StoredEvent] = {}
    tries = n * TRIES_PER_EVENT
    while places and len(taken) < n and tries > 0:
        missing = n - len(taken)
        share, extra = divmod(missing, len(places))
        lucky = set(random.sample(range(len(places)), extra))
        going, wanted = [], []
        for number, source in enumerate(places):
            quota = share + (number in lucky)
            drawn = list(islice(source, quota))
            tries -= len(drawn)
            wanted += drawn
            if len(drawn) == quota:
                going.append(source)
        places = going
        for values in connection.executemany(_ROW, wanted):
            if before_seq is None or values[11] <= before_seq:
                taken[values[13]] = stored_event(task, values[:13])
    if before_seq is not None and len(taken) < n and tries <= 0:
        for values in query(connection, NEWEST, (task_id, before_seq, n)):
            if len(taken) == n:
                break
            taken.setdefault(values[13], stored_event(task, values[:13]))
    chosen = list(taken.values())
    random.shuffle(chosen)
    return chosen


def _balanced(classes: list[Place], random: Random) -> list[Iterator[Place]]:
    return [_of_class(id_, rows, Random(random.random())) for id_, rows in classes]


def _of_class(class_id: int, rows: int, random: Random) -> Iterator[Place]:
    for number in _shuffled(rows, random):
        yield class_id, number


def _uniform(classes: list[Place], random: Random) -> Iterator[Place]:
    ends = list(accumulate(rows for _, rows in classes))
    for number in _shuffled(ends[-1] if ends else 0, random):
        at = bisect_right(ends, number)
        yield classes[at][0], number - (ends[at - 1] if at else 0)


def _shuffled(size: int, random: Random) -> Iterator[int]:
    """0 .. size - 1 in random order, one at a time: memory grows with what is taken, not with ``size``."""
    moved: dict[int, int] = {}
    for end in range(size, 0, -1):
        at = int(random.random() * end)
        number = moved.get(at, at)
        moved[at] = moved.pop(end - 1, end - 1)
        yield number
