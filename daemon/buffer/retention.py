"""Bounded housekeeping: expiry, purge, retention by age and by size, each in short transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import apsw

from daemon.buffer import pending, removal
from daemon.buffer.counts import Counts
from daemon.config.models import BufferConfig

MAX_CHUNKS = 40
"""Transactions that one kind of housekeeping may take in one call; the rest waits for the next call."""

Transaction = Callable[[], AbstractContextManager[Counts]]


def maintain(
    connection: apsw.Connection, transaction: Transaction, limits: BufferConfig, now: float, passed: Mapping[str, int]
) -> None:
    """``passed``: task -> the seq that every kept HeadState has passed (see BufferWriter.maintain)."""
    _chunks(transaction, lambda counts: pending.expire(connection, counts, now - limits.pending_expiry_s))
    if _chunks(transaction, lambda counts: removal.purge(connection, counts, passed)):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        _empty_log(connection)
    if limits.max_age_s:
        cutoff = now - limits.max_age_s
        _chunks(transaction, lambda counts: removal.evict_aged(connection, counts, passed, cutoff))
    _chunks(transaction, lambda counts: _shrink(connection, counts, limits.max_bytes, passed))


def make_room(connection: apsw.Connection, transaction: Transaction, max_bytes: int) -> bool:
    """Whether the buffer is at most HARD_RATIO times ``max_bytes``, after evicting what may go for that."""
    ceiling = max_bytes * removal.HARD_RATIO

    def step(counts: Counts) -> int:
        return removal.evict_biggest(connection, counts, {}) if removal.used_bytes(connection) > ceiling else 0

    if removal.used_bytes(connection) > ceiling:
        _chunks(transaction, step)
    return removal.used_bytes(connection) <= ceiling


def _shrink(connection: apsw.Connection, counts: Counts, max_bytes: int, passed: Mapping[str, int]) -> int:
    used = removal.used_bytes(connection)
    if used <= max_bytes:
        return 0
    spared = passed if used <= max_bytes * removal.HARD_RATIO else {}
    return removal.evict_biggest(connection, counts, spared)


def _empty_log(connection: apsw.Connection) -> None:
    """Take erased text out of the write-ahead log too; a reader in the middle of a read defers that."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return


def _chunks(transaction: Transaction, step: Callable[[Counts], int]) -> int:
    done = 0
    for _ in range(MAX_CHUNKS):
        with transaction() as counts:
            taken = step(counts)
        done += taken
        if not taken:
            break
    return done
