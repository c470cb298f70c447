"""How events leave: by erasure (asked for) and by retention (no room, too old).

1. An erased event's text, label, history and changes are deleted once every kept HeadState has passed its
   last change; a tombstone (the digest of its id) stays.
2. Retention takes the oldest events of the biggest class first and leaves each class FLOOR_ROWS; the digests
   of their ids stay, so that they are not stored again. It logs no change: what heads learnt stays learnt.
3. Retention spares events whose last change a head has yet to pass, unless the buffer is a quarter over its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from daemon.buffer import outbox
from daemon.buffer.batch import BURY, ERASED, EVICTED, Batch
from daemon.buffer.counts import ClassCount, Counts
from daemon.buffer.query import query

FLOOR_ROWS = 10
"""Retention leaves a class so many events."""
CHUNK_ROWS = 500
"""So many events leave in one transaction."""
HARD_RATIO = 1.25
"""At so many times ``buffer.max_bytes`` events go that a head has not passed."""


Leaving = tuple[Any, ...]
"""(row, digest, task, seq of the last change)"""


def purge(connection: apsw.Connection, counts: Counts, passed: Mapping[str, int]) -> int:
    """Delete at most CHUNK_ROWS erased events that may go; returns how many did."""
    leaving: list[Leaving] = []
    for task in counts.by_id.values():
        leaving += query(
            connection,
            "SELECT row, digest, task, seq FROM events WHERE erased = 1 AND task = ? AND seq <= ? ORDER BY seq LIMIT ?",
            (task.id, passed.get(task.name, 0), CHUNK_ROWS - len(leaving)),
        )
    _take_out(connection, leaving, ERASED)
    counts.any_gone = counts.any_gone or bool(leaving)
    return len(leaving)


def evict_aged(connection: apsw.Connection, counts: Counts, passed: Mapping[str, int], cutoff: float) -> int:
    """Evict at most CHUNK_ROWS events of a time before ``cutoff`` (seconds since the epoch)."""
    leaving: list[Leaving] = []
    for entry in sorted(counts.by_class.values(), key=lambda c: (-c.rows, c.id)):
        room = min(CHUNK_ROWS - len(leaving), entry.rows - FLOOR_ROWS)
        if room > 0:
            leaving += _oldest(connection, counts, entry, passed, room, cutoff)
    return _evict(connection, counts, leaving)


def evict_biggest(connection: apsw.Connection, counts: Counts, passed: Mapping[str, int]) -> int:
    """Evict at most CHUNK_ROWS of the oldest events of the biggest class that may give some."""
    classes = sorted(counts.by_class.values(), key=lambda c: (-c.rows, c.id))
    for entry, following in zip(classes, [*(c.rows for c in classes[1:]), 0], strict=True):
        room = min(CHUNK_ROWS, entry.rows - FLOOR_ROWS, max(CHUNK_ROWS // 10, entry.rows - following))
        leaving = _oldest(connection, counts, entry, passed, room, float("inf")) if room > 0 else []
        if leaving:
            return _evict(connection, counts, leaving)
    return 0


def used_bytes(connection: apsw.Connection) -> int:
    """Bytes of the pages in use (those that deletions freed are not), without the outbox, which has a budget of
    its own: a dead-letter topic that is away must not cost events."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return max(0, pages * int(connection.pragma("page_size")) - outbox.size(connection).bytes)


def _oldest(
    connection: apsw.Connection,
    counts: Counts,
    entry: ClassCount,
    passed: Mapping[str, int],
    limit: int,
    cutoff: float,
) -> list[Leaving]:
    seen = passed.get(counts.by_id[entry.task].name, 2**62)
    return query(
        connection,
        "SELECT row, digest, task, seq FROM events WHERE class = ? AND erased = 0 AND time < ? AND seq <= ? "
        "ORDER BY time LIMIT ?",
        (entry.id, cutoff, seen, limit),
    )


def _evict(connection: apsw.Connection, counts: Counts, leaving: Sequence[Leaving]) -> int:
    batch = Batch(connection, counts)
    for _, digest, task_id, _ in leaving:
        row = batch.find(digest)
        if row is not None:
            task = counts.touched_task(task_id)
            row.erased = 1
            batch.dirty(row)
            batch.recount(task, row, (row.label, False))
            task.events -= 1
    batch.flush()
    _take_out(connection, leaving, EVICTED)
    counts.any_gone = counts.any_gone or bool(leaving)
    return len(leaving)


def _take_out(connection: apsw.Connection, leaving: Sequence[Leaving], state: int) -> None:
    for row, digest, task, seq in leaving:
        connection.execute(BURY, (digest, state))
        while seq:
            prior = connection.execute("SELECT prior FROM changes WHERE task = ? AND seq = ?", (task, seq)).get
            connection.execute("DELETE FROM changes WHERE task = ? AND seq = ?", (task, seq))
            seq = prior or 0
        for table in ("inputs", "label_history"):
            connection.execute(f"DELETE FROM {table} WHERE event = ?", (row,))
        connection.execute("DELETE FROM events WHERE row = ?", (row,))
