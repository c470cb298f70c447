"""The buffer's readers on SQLite: read-only connections, from any process, beside the writer.

A reader may be shared by threads: one call at a time holds its lock. Every answer is a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from daemon.buffer import outbox, recent, removal, reservoir, sampling
from daemon.buffer.ports import BufferStats, DeadLetter, OutboxSize, Partition
from daemon.buffer.query import query
from daemon.buffer.rows import EVENT_COLUMNS, id_digest, read_input, read_label, stored_event
from daemon.buffer.schema import open_to_read
from daemon.buffer.split import SPLITS
from daemon.events import Change, ChangeKind, Origin, Split, StoredEvent
from daemon.sqlite import translated

EXPORT_ROWS = 1000
"""Rows that one read of an export takes, so that no long read holds back the write-ahead log."""

_TAIL = (
    "SELECT c.seq, c.kind, c.event, c.previous_label, e.revision, e.id, e.time, e.text, e.text_pair, e.tokens, e.key, "
    "e.split, c.label, c.label_time, c.source, e.attributes, c.seq, c.revision "
    "FROM changes c JOIN events e ON e.row = c.event WHERE c.task = ? AND c.seq > ? ORDER BY c.seq LIMIT ?"
)
_TOUCHED = (
    "SELECT DISTINCT e.row FROM changes c JOIN events e ON e.row = c.event "
    "WHERE c.task = ? AND c.label_time >= ? AND c.label_time < ? AND e.erased = 0 AND e.split = ? ORDER BY e.row"
)
_HISTORY = (
    "WITH RECURSIVE chain(task, seq) AS (SELECT task, seq FROM events WHERE row = ? UNION ALL "
    "SELECT c.task, c.prior FROM changes c JOIN chain USING (task, seq) WHERE c.prior > 0) "
    "SELECT c.seq, c.kind, c.event, c.previous_label, e.revision, e.id, e.time, e.text, e.text_pair, e.tokens, e.key, "
    "e.split, c.label, c.label_time, c.source, e.attributes, c.seq, c.revision "
    "FROM chain JOIN changes c USING (task, seq) JOIN events e ON e.row = c.event ORDER BY c.seq"
)
_INPUT_THEN = (
    "SELECT time, text, text_pair, tokens, key, attributes FROM inputs WHERE event = ? AND until > ? "
    "ORDER BY until LIMIT 1"
)
_INPUT_BEFORE = "SELECT text, text_pair, tokens, key FROM inputs WHERE event = ? AND until = ?"


class SqliteBufferReader:
    """Raises StoreError where there is no buffer yet, SchemaTooNew, StoreCorrupt."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._connection = open_to_read(path)

    def tail(self, task: str, cursor: int, limit: int) -> Sequence[Change]:
        with self._snapshot():
            rows = query(self._connection, _TAIL, (self._task(task), cursor, limit))
            return [self._change(task, row) for row in rows]

    def last_seq(self, task: str) -> int:
        with self._snapshot():
            return int(self._connection.execute("SELECT last_seq FROM tasks WHERE name = ?", (task,)).get or 0)

    def sample(
        self, task: str, n: int, *, balanced: bool, seed: int, before_seq: int | None = None
    ) -> Sequence[StoredEvent]:
        with self._snapshot():
            return sampling.draw(
                self._connection, task, self._task(task), n, balanced=balanced, seed=seed, before_seq=before_seq
            )

    def recent(
        self, task: str, n: int, *, half_life: int, seed: int, before_seq: int | None = None
    ) -> Sequence[StoredEvent]:
        with self._snapshot():
            return recent.draw(
                self._connection, task, self._task(task), n, half_life=half_life, seed=seed, before_seq=before_seq
            )

    def reservoir(self, task: str, n: int, *, before_seq: int | None = None) -> Sequence[StoredEvent]:
        with self._snapshot():
            return reservoir.draw(self._connection, task, self._task(task), n, before_seq=before_seq)

    def labelled(
        self, task: str, split: Split, *, after_seq: int = 0, before_seq: int | None = None, limit: int
    ) -> Sequence[StoredEvent]:
        with self._snapshot():
            rows = query(
                self._connection,
                f"SELECT {EVENT_COLUMNS} FROM events WHERE task = ? AND split = ? AND seq > ? AND seq <= ? "
                "AND label IS NOT NULL AND erased = 0 ORDER BY seq DESC LIMIT ?",
                (self._task(task), SPLITS.index(split), after_seq, 2**62 if before_seq is None else before_seq, limit),
            )
        return [stored_event(task, row) for row in reversed(rows)]

    def get(self, task: str, event_id: str) -> StoredEvent | None:
        with self._snapshot():
            row = self._connection.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE digest = ? AND erased = 0", (id_digest(task, event_id),)
            ).fetchone()
        return None if row is None else stored_event(task, row)

    def labelled_between(self, task: str, since: float, until: float) -> Iterator[Sequence[Change]]:
        with self._snapshot():
            rows = query(self._connection, _TOUCHED, (self._task(task), since, until, SPLITS.index(Split.TRAIN)))
        for (row,) in rows:
            with self._snapshot():
                found = [self._change(task, change) for change in query(self._connection, _HISTORY, (row,))]
            if found:
                yield found

    def last_erasure(self, task: str) -> int:
        with self._snapshot():
            found = self._connection.execute(
                "SELECT max(seq) FROM events WHERE task = ? AND erased = 1", (self._task(task),)
            ).get
        return int(found or 0)

    def stats(self, task: str) -> BufferStats:
        with self._snapshot():
            row = self._connection.execute(
                "SELECT id, events, validation, holdout, pending, expired, last_seq FROM tasks WHERE name = ?", (task,)
            ).fetchone()
            if row is None:
                return BufferStats(0, dict.fromkeys(SPLITS, 0), {}, 0, 0)
            id_, events, validation, holdout, pending, expired, last_seq = row
            labels: dict[str, int] = dict(
                query(
                    self._connection,
                    "SELECT name, train_rows FROM classes WHERE task = ? AND train_rows > 0 ORDER BY id",
                    (id_,),
                )
            )
        labelled = {Split.TRAIN: sum(labels.values()), Split.VALIDATION: validation, Split.HOLDOUT: holdout}
        return BufferStats(events, labelled, labels, pending, last_seq, expired)

    def export(self, task: str | None = None) -> Iterator[StoredEvent]:
        last = 0
        while True:
            with self._snapshot():
                names: dict[int, str] = dict(query(self._connection, "SELECT id, name FROM tasks"))
                rows = query(
                    self._connection,
                    f"SELECT {EVENT_COLUMNS}, row, task FROM events WHERE row > ? AND erased = 0 ORDER BY row LIMIT ?",
                    (last, EXPORT_ROWS),
                )
            for row in rows:
                if task is None or names[row[14]] == task:
                    yield stored_event(names[row[14]], row[:13])
            if len(rows) < EXPORT_ROWS:
                return
            last = rows[-1][13]

    def positions(self) -> Mapping[Partition, int]:
        """Next offset that ingest will read, per partition."""
        with self._snapshot():
            rows = query(self._connection, "SELECT topic, partition, next FROM positions")
        return {(topic, partition): following for topic, partition, following in rows}

    def size_bytes(self) -> int:
        with self._snapshot():
            return removal.used_bytes(self._connection)

    def outbox_size(self) -> OutboxSize:
        with self._snapshot():
            return outbox.size(self._connection)

    def outbox_reasons(self) -> Mapping[str, int]:
        with self._snapshot():
            return dict(query(self._connection, "SELECT reason, count(*) FROM outbox GROUP BY reason ORDER BY 2 DESC"))

    def outbox_letter(self, origin: Origin) -> DeadLetter | None:
        with self._snapshot():
            return outbox.at(self._connection, origin)

    def close(self) -> None:
        with self._lock, translated(self._path):
            self._connection.close()

    def _task(self, name: str) -> int:
        """The task's number; 0 (nothing has it) while nothing of it is stored."""
        return int(self._connection.execute("SELECT id FROM tasks WHERE name = ?", (name,)).get or 0)

    def _change(self, task: str, row: Sequence[Any]) -> Change:
        seq, kind, event_row, previous_label, revisions, *values = row
        before = then = None
        if revisions:
            then = self._connection.execute(_INPUT_THEN, (event_row, seq)).fetchone()
            if kind == ChangeKind.INPUT:
                before = self._connection.execute(_INPUT_BEFORE, (event_row, seq)).fetchone()
        if then is not None:
            values[1], values[2], values[3], values[4], values[5], values[10] = then
        return Change(
            seq=seq,
            kind=ChangeKind(kind),
            event=stored_event(task, values),
            previous_label=read_label(previous_label),
            previous_key=None if before is None else before[3],
            previous_input=None if before is None else read_input(*before[:3]),
        )

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._lock, translated(self._path):
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
