"""A uniform sample that stays: the labelled train events whose ids have the smallest hashes.

The hash is the digest that the store looks an event up by, so nothing more is kept for it: a reservoir costs an
append nothing (bottom-k sampling, Cohen & Kaplan 2007; in its effect Vitter's reservoir of 1985, one that can
forget).

1. On the same content the same events, whatever was asked before, in the order of their hashes: a smaller
   sample is the front of a larger one. Whether an event is in does not depend on its label, input or time.
2. An event that comes takes at most one place; one that goes (erased, evicted, retracted) leaves its place to
   the event with the next hash. All other members stay.
3. Reads O(√(n x events stored)) rows at most: the hashes of all tasks in order until n are found, or where the
   task is small beside the others, the task's own rows.
4. Where more than about seven eighths of the task's events are newer than ``before_seq``, what is missing after
   that is topped up with the newest allowed events: there is a sample, but it may differ at the next time.
"""

from __future__ import annotations

from heapq import nsmallest
from math import ceil

import apsw

from daemon.buffer.query import query
from daemon.buffer.rows import EVENT_COLUMNS, stored_event
from daemon.buffer.sampling import NEWEST, TRIES_PER_EVENT
from daemon.buffer.split import TRAIN
from daemon.events import StoredEvent

_STORED = "SELECT coalesce(sum(events), 0) FROM tasks"
_OWN = "SELECT coalesce(sum(train_rows), 0) FROM classes WHERE task = ?"
_IN_ORDER = (
    "SELECT row FROM (SELECT row, task, split, label IS NOT NULL AS labelled, erased, seq FROM events "
    "WHERE digest >= x'' ORDER BY digest LIMIT ?) "
    f"WHERE task = ? AND split = {TRAIN} AND labelled AND erased = 0 AND seq <= ? LIMIT ?"
)
_OF_TASK = (
    "SELECT e.digest, e.row FROM classes k JOIN class_rows r ON r.class = k.id JOIN events e ON e.row = r.event "
    "WHERE k.task = ? AND e.seq <= ?"
)
_ROW = f"SELECT {EVENT_COLUMNS}, row FROM events WHERE row = ?"


def draw(connection: apsw.Connection, task: str, task_id: int, n: int, *, before_seq: int | None) -> list[StoredEvent]:
    """At most ``n`` events in the order of their hashes; inside a read transaction of the caller's."""
    before = 2**62 if before_seq is None else before_seq
    own = int(connection.execute(_OWN, (task_id,)).get or 0)
    if not own or n < 1:
        return []
    expected = ceil(min(n, own) * int(connection.execute(_STORED).get) / own)
    if own <= expected:
        rows = [row for _, row in nsmallest(n, query(connection, _OF_TASK, (task_id, before)))]
    else:
        rows = [row for (row,) in query(connection, _IN_ORDER, (TRIES_PER_EVENT * expected, task_id, before, n))]
    found = connection.executemany(_ROW, [(row,) for row in rows])
    taken = {values[13]: stored_event(task, values[:13]) for values in found}
    if own > expected and len(taken) < n:
        for values in query(connection, NEWEST, (task_id, before, n)):
            if len(taken) == n:
                break
            taken.setdefault(values[13], stored_event(task, values[:13]))
    return list(taken.values())
