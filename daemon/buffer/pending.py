"""Labels that came alone and wait for their event; they expire, and that is counted.

Their ids are kept as digests only. Which of several waiting labels holds is decided when the event comes.
"""

from __future__ import annotations

from typing import NamedTuple

import apsw

from daemon.buffer.counts import Counts, TaskCount
from daemon.buffer.query import query
from daemon.buffer.rows import Stored

EXPIRE_ROWS = 5000
"""At most so many expire in one call."""


class Statement(NamedTuple):
    """Someone said that an event has this label (None: withdrawn), at a place in the order of statements."""

    order: bytes
    label: Stored
    label_time: float
    source: str


def wait(connection: apsw.Connection, task: TaskCount, digest: bytes, said: Statement, now: float) -> bool:
    """Store a label for an event that is not there yet; False where that very statement waits already."""
    before = connection.total_changes()
    connection.execute(
        "INSERT OR IGNORE INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)",
        (digest, said.order, task.id, said.label, said.label_time, said.source, now),
    )
    fresh = connection.total_changes() > before
    task.pending += fresh
    return fresh


def join(connection: apsw.Connection, task: TaskCount, digest: bytes) -> list[Statement]:
    """Take out what waited for an event, oldest first. Costs nothing while nothing waits."""
    if not task.pending:
        return []
    rows = query(
        connection,
        "SELECT label_order, label, label_time, source FROM pending WHERE digest = ? ORDER BY label_order",
        (digest,),
    )
    if rows:
        drop(connection, task, digest)
    return [Statement(*row) for row in rows]


def drop(connection: apsw.Connection, task: TaskCount, digest: bytes) -> None:
    if task.pending:
        before = connection.total_changes()
        connection.execute("DELETE FROM pending WHERE digest = ?", (digest,))
        task.pending -= connection.total_changes() - before


def expire(connection: apsw.Connection, counts: Counts, cutoff: float) -> int:
    """Drop labels that arrived before ``cutoff`` (seconds since the epoch); returns how many."""
    rows = query(
        connection,
        "SELECT digest, label_order, task FROM pending WHERE arrived < ? ORDER BY arrived LIMIT ?",
        (cutoff, EXPIRE_ROWS),
    )
    for digest, order, task_id in rows:
        connection.execute("DELETE FROM pending WHERE digest = ? AND label_order = ?", (digest, order))
        task = counts.touched_task(task_id)
        task.pending -= 1
        task.expired += 1
    return len(rows)
