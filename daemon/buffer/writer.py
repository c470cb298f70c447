"""The buffer's writer on SQLite: what the ingest role holds.

An append goes: compare the stored positions with the expected ones and set the new ones → outbox → apply the
arrivals → counters → file them and commit (fsync). Anything that fails before the commit leaves nothing behind. The
last step needs no interpreter; ``meanwhile`` is done beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from daemon.buffer import arrivals as rules
from daemon.buffer import outbox, retention
from daemon.buffer.alongside import alongside
from daemon.buffer.batch import Batch
from daemon.buffer.counts import Counts
from daemon.buffer.ports import AppendReport, Arrival, DeadLetter, OutboxSize, Partition
from daemon.buffer.query import query
from daemon.buffer.schema import open_to_write
from daemon.clock import Clock
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from daemon.errors import PositionConflict
from daemon.sqlite import translated


class SqliteBufferWriter:
    """One writer of ``path`` (a second one is harmless but slow: positions are compared, counters re-read).

    Raises SchemaTooNew, StoreCorrupt, SignatureMismatch (another ``split.by`` or ``split.seed``), StoreError.
    """

    def __init__(self, path: Path, tasks: Mapping[str, TaskConfig], limits: BufferConfig, clock: Clock) -> None:
        self._path = path
        self._limits = limits
        self._clock = clock
        self._splits = {name: task.split for name, task in tasks.items()}
        self._connection = open_to_write(path)
        self._counts: Counts | None = None
        self._version = -1
        try:
            with self._transaction():
                pass
        except BaseException:
            self._connection.close()
            raise

    def positions(self) -> Mapping[Partition, int]:
        with translated(self._path):
            rows = query(self._connection, "SELECT topic, partition, next FROM positions")
        return {(topic, partition): following for topic, partition, following in rows}

    def identities(self) -> Mapping[str, str]:
        with translated(self._path):
            return dict(query(self._connection, "SELECT topic, identity FROM identities"))

    def append(
        self,
        arrivals: Sequence[Arrival],
        positions: Mapping[Partition, tuple[int | None, int]],
        dead_letters: Sequence[DeadLetter] = (),
        identities: Mapping[str, str] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> AppendReport:
        now = self._clock.now()
        with self._begun() as counts:
            self._move(positions)
            outbox.put(self._connection, dead_letters)
            batch = Batch(self._connection, counts)
            outcomes = rules.apply_all(batch, arrivals, now)
            batch.stage()
            self._connection.executemany("REPLACE INTO identities VALUES (?, ?)", list((identities or {}).items()))
            counts.flush(self._connection)

            def finish() -> None:
                batch.file()
                self._connection.execute("COMMIT")

            alongside(finish, meanwhile) if meanwhile is not None else finish()
        if dead_letters:
            outcomes["", "dead_lettered"] += len(dead_letters)
        return AppendReport(dict(outcomes), counts.last_seq)

    def outbox(self, limit: int, *, after: int = 0) -> Sequence[tuple[int, DeadLetter]]:
        with translated(self._path):
            return outbox.oldest(self._connection, limit, after)

    def outbox_size(self) -> OutboxSize:
        with translated(self._path):
            return outbox.size(self._connection)

    def acknowledge(self, numbers: Sequence[int]) -> None:
        with self._transaction():
            outbox.remove(self._connection, numbers)

    def maintain(self, passed: Mapping[str, int]) -> None:
        """A task that ``passed`` does not name has no head: its erased events that were ever labelled wait
        until it is named (name it with its last seq where no head is kept)."""
        with translated(self._path):
            retention.maintain(self._connection, self._transaction, self._limits, self._clock.now(), passed)

    def make_room(self) -> bool:
        with translated(self._path):
            return retention.make_room(self._connection, self._transaction, self._limits.max_bytes)

    def label_counts(self, task: str) -> Mapping[str, int]:
        """Kept labelled events of each class, whatever their split: what ``policy.admit`` asks for."""
        if self._counts is None:
            with self._transaction():
                pass
        assert self._counts is not None
        classes = self._counts.task(task).classes.values()
        return {entry.name: entry.rows for entry in classes if entry.name is not None and entry.rows}

    def close(self) -> None:
        with translated(self._path):
            self._connection.close()

    def _move(self, positions: Mapping[Partition, tuple[int | None, int]]) -> None:
        for (topic, partition), (expected, following) in positions.items():
            place = (topic, partition)
            found = self._connection.execute("SELECT next FROM positions WHERE topic = ? AND partition = ?", place).get
            if found != expected:
                raise PositionConflict(
                    f"{topic}[{partition}]: the buffer stands at {found}, expected {expected}; another process "
                    "wrote it, or records were read twice: seek to the stored position"
                )
            self._connection.execute("REPLACE INTO positions VALUES (?, ?, ?)", (*place, following))

    @contextmanager
    def _transaction(self) -> Iterator[Counts]:
        with self._begun() as counts:
            yield counts
            counts.flush(self._connection)
            self._connection.execute("COMMIT")

    @contextmanager
    def _begun(self) -> Iterator[Counts]:
        """All or nothing: who begins commits, an error rolls back. Counters are re-read where another connection
        wrote or an attempt failed."""
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                version = self._connection.pragma("data_version")
                if self._counts is None or version != self._version:
                    self._counts = Counts(self._connection, self._splits)
                    self._version = version
                yield self._counts
            except BaseException:
                self._counts = None
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
