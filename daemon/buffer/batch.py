"""One append's unit of work: rows are looked up once, changed in memory, written at the end.

Everything a batch does is inside the writer's transaction, which flushes the counters; :meth:`Batch.flush`
writes the rest with a few prepared statements, or :meth:`Batch.stage` and then :meth:`Batch.file`, which is most of
the work and needs no interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from daemon.buffer.counts import ClassCount, Counts, TaskCount
from daemon.buffer.ports import label_text
from daemon.buffer.rows import COLUMNS, Row, Stored, read_label
from daemon.buffer.slots import Slots
from daemon.buffer.split import TRAIN, decide
from daemon.buffer.staging import Staging
from daemon.events import ChangeKind

EVICTED, ERASED = 1, 2

_COLUMNS = ", ".join(COLUMNS)
_SELECT = f"SELECT {_COLUMNS} FROM events WHERE "
_KNOWN = f"SELECT {_COLUMNS} FROM carray(?) AS asked CROSS JOIN events ON digest = asked.value"
_GONE = "SELECT digest, state FROM carray(?) AS asked CROSS JOIN gone ON digest = asked.value"
_SIDES = "SELECT key, split FROM carray(?2) AS asked CROSS JOIN splits ON task = ?1 AND key = asked.value"
_UPDATE = f"UPDATE events SET {', '.join(f'{c} = ?{i + 1}' for i, c in enumerate(COLUMNS) if i)} WHERE row = ?1"
_SPLIT = "SELECT split FROM splits WHERE task = ? AND key = ?"
_CHANGE = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
BURY = "INSERT INTO gone VALUES (?1, ?2) ON CONFLICT (digest) DO UPDATE SET state = ?2"
_INPUT = "INSERT OR IGNORE INTO inputs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_HISTORY = "INSERT OR IGNORE INTO label_history VALUES (?, ?, ?, ?, ?)"


class Batch:
    def __init__(self, connection: apsw.Connection, counts: Counts) -> None:
        self.connection = connection
        self.counts = counts
        self._rows: dict[bytes, Row | None] = {}
        self._slots = Slots(connection)
        self._new: list[Row] = []
        self._first_new = counts.next_row
        self._dirty: dict[int, Row] = {}
        self._gone: dict[bytes, int] = {}
        self._splits: dict[int, dict[bytes, int | None]] = {}  # task -> key -> side; None: none is stored
        self._new_splits: dict[tuple[int, int], list[bytes]] = {}  # (task, side) -> keys
        self._changes: list[tuple[Any, ...]] = []
        self._inputs: list[tuple[Any, ...]] = []
        self._history: list[tuple[Any, ...]] = []
        self._staging = Staging(connection)

    def prefetch(self, digests: Sequence[bytes], keys: Mapping[int, Sequence[bytes]]) -> None:
        """Look up many ids, and many split keys by task, at once: one statement each, run without the interpreter."""
        self._rows = dict.fromkeys(digests)
        if digests:
            asked = apsw.carray(tuple(self._rows))
            for values in self.connection.execute(_KNOWN, (asked,)):
                self._know(Row(*values))
            if self.counts.any_gone:
                self._gone = dict.fromkeys(digests, 0)
                self._gone.update(self.connection.execute(_GONE, (asked,)))
        for task, of_task in keys.items():
            sides = self._splits[task] = dict.fromkeys(of_task)
            sides.update(self.connection.execute(_SIDES, (task, apsw.carray(tuple(sides)))))

    def _know(self, row: Row) -> None:
        self._rows[row.digest] = row
        self._slots.know(row)

    def find(self, digest: bytes) -> Row | None:
        """The kept (or hidden) row of an id."""
        if digest in self._rows:
            return self._rows[digest]
        values = self.connection.execute(_SELECT + "digest = ?", (digest,)).fetchone()
        self._rows[digest] = None
        if values is not None:
            self._know(Row(*values))
        return self._rows[digest]

    def gone(self, digest: bytes) -> int:
        """0, EVICTED or ERASED."""
        if not self.counts.any_gone:
            return 0
        state = self._gone.get(digest)
        if state is None:
            state = self._gone[digest] = (
                self.connection.execute("SELECT state FROM gone WHERE digest = ?", (digest,)).get or 0
            )
        return state

    def bury(self, digest: bytes, state: int) -> None:
        self._gone[digest] = state
        self.counts.any_gone = True
        self.connection.execute(BURY, (digest, state))

    def add(self, row: Row, task: TaskCount, entry: ClassCount) -> None:
        """A row that is not stored yet, numbered ``counts.next_row``, of the class that ``counts.class_of`` gave."""
        self._rows[row.digest] = row
        self._new.append(row)
        self.counts.next_row += 1
        task.events += 1
        entry.rows += 1
        if row.label is not None:
            self._side(task, row.split, entry, 1)

    def dirty(self, row: Row) -> None:
        """Call it before a row's label or input changes."""
        if row.row not in self._dirty:
            self._dirty[row.row] = row
            if row.row >= self._first_new and row.seq:
                self._tell(row, ChangeKind.LABEL, row.seq, 0, None)

    def split(self, task: TaskCount, key: bytes, entry: ClassCount) -> int:
        """The stored split of a key; decided and stored where it is first seen, with a label of this class."""
        sides = self._splits.get(task.id)
        side = None if sides is None else sides.get(key)
        if side is None:
            side = self._stored_split(task, key)
            if side is None:
                side = decide(task.split, key, entry.train_rows)
                self._new_splits.setdefault((task.id, side), []).append(key)
            self._splits.setdefault(task.id, {})[key] = side
        return side

    def keep_split(self, task: TaskCount, key: bytes, side: int) -> None:
        """Give a key that has none the split of its event (an input revision stays on its side)."""
        sides = self._splits.setdefault(task.id, {})
        if sides.get(key) is None:
            stored = self._stored_split(task, key)
            if stored is None:
                self._new_splits.setdefault((task.id, side), []).append(key)
            sides[key] = side if stored is None else stored

    def _stored_split(self, task: TaskCount, key: bytes) -> int | None:
        if key in self._splits.get(task.id, ()):
            return None  # asked before
        row = self.connection.execute(_SPLIT, (task.id, key)).fetchone()
        return None if row is None else int(row[0])

    def recount(self, task: TaskCount, row: Row, before: tuple[Stored, bool]) -> None:
        """Move a row between classes and sides; ``before`` is its (label, hidden) until now."""
        old_label, was_hidden = before
        old = self.counts.touched(row.class_)
        new = self.counts.class_of(task, class_name(row.label))
        if not was_hidden:
            old.rows -= 1
            if old_label is not None:
                self._side(task, row.split, old, -1)
        row.class_ = new.id
        if not row.erased:
            new.rows += 1
            if row.label is not None:
                self._side(task, row.split, new, 1)

    @staticmethod
    def _side(task: TaskCount, side: int | None, entry: Any, amount: int) -> None:
        if side == TRAIN:
            entry.train_rows += amount
        elif side is not None:
            task.sides[side] += amount

    def change(self, task: TaskCount, row: Row, kind: ChangeKind, previous: Stored) -> int:
        """Log a change: ``row`` as it is now. Returns its seq."""
        seq = self.counts.next_seq(task)
        if row.row < self._first_new or row.row in self._dirty:
            self._tell(row, kind, seq, row.seq, previous)  # else it is what the row itself says: its first label
        row.seq = seq
        return seq

    def _tell(self, row: Row, kind: ChangeKind, seq: int, prior: int, previous: Stored) -> None:
        self._changes.append(
            (row.task, seq, kind, row.row, prior, row.label, row.label_time, row.source, row.revision, previous)
        )

    def remember_input(self, row: Row) -> None:
        """Keep the input in force for the changes so far; call it before the input changes."""
        self._inputs.append(
            (row.row, self.counts.last_seq + 1, row.time, row.text, row.text_pair, row.tokens, row.key, row.attributes)
        )

    def remember_label(self, row: Row, order: bytes, label: Stored, label_time: float | None, source: str) -> None:
        self._history.append((row.row, order, label, label_time, source))

    def flush(self) -> None:
        self.stage()
        self.file()

    def stage(self) -> None:
        """Write what the interpreter is needed for. No change may come after it."""
        db = self.connection
        changed = [row for number, row in self._dirty.items() if number < self._first_new]
        self._slots.move(changed, self._new)
        db.executemany(_UPDATE, [row.values() for row in changed])
        db.executemany(_CHANGE, self._changes)
        db.executemany(_INPUT, self._inputs)
        db.executemany(_HISTORY, self._history)
        self._staging.put(self._new, self._dirty.keys())
        self._staging.put_splits(self._new_splits)

    def file(self) -> None:
        """Write the rest, after :meth:`stage`: on whatever thread, while the connection is not used otherwise."""
        self._staging.file()


def class_name(label: Stored) -> str | None:
    """The class that counts a stored label; None: no label."""
    if label is None or isinstance(label, str):
        return label
    value = read_label(label)
    return None if value is None else label_text(value)
