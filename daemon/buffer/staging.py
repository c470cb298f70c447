"""New rows on their way into the tables: handed over one by one, filed all at once.

Every row that SQLite is handed takes the interpreter along, so rows that go straight into their tables keep it from
other threads for as long as that takes. Here they go into a table in memory that has no index (a fifth of the time),
and from there into ``events``, ``changes``, ``class_rows`` and ``splits`` by one statement each, which needs
no interpreter: whoever waits for it can do something else meanwhile.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import apsw

from daemon.buffer.rows import COLUMNS, Row
from daemon.events import ChangeKind

_MAKE = f"CREATE TEMP TABLE IF NOT EXISTS staged ({', '.join(COLUMNS)})"
_STAGE = f"INSERT INTO staged VALUES ({', '.join('?' * len(COLUMNS))})"
# OR FAIL: a failure ends the whole transaction, so no statement of its own has to be undone
_EVENTS = "INSERT OR FAIL INTO events SELECT * FROM staged"
_CHANGES = (
    f"INSERT OR FAIL INTO changes SELECT task, seq, '{ChangeKind.LABEL}', row, 0, label, label_time, source, revision, "
    "NULL FROM staged WHERE seq > 0 AND row NOT IN (SELECT value FROM carray(?))"
)
_CLASS_ROWS = "INSERT OR FAIL INTO class_rows SELECT class, slot, row FROM staged WHERE slot IS NOT NULL"
_SPLITS = "INSERT OR FAIL INTO splits SELECT ?1, value, ?2 FROM carray(?3)"


class Staging:
    """Of one transaction. What is staged is gone after :meth:`file`, or with the transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._told = _numbers(())
        self._rows = False
        self._splits: list[tuple[int, int, Any]] = []

    def put(self, rows: Sequence[Row], told: Collection[int]) -> None:
        """New rows as they are now. One with a ``seq`` has one change, its first label, but for those that ``told``
        numbers, whose changes the caller writes."""
        if rows:
            self._rows = True
            self._connection.execute(_MAKE)
            self._connection.executemany(_STAGE, [row.values() for row in rows])
            self._told = _numbers(told)

    def put_splits(self, splits: Mapping[tuple[int, int], Sequence[bytes]]) -> None:
        """(task, side) -> keys that are on it from now on."""
        self._splits += [(task, side, apsw.carray(tuple(keys))) for (task, side), keys in splits.items()]

    def file(self) -> None:
        """Into their tables. Any thread may do this while the connection is not used otherwise."""
        db = self._connection
        for place in self._splits:
            db.execute(_SPLITS, place)
        if self._rows:
            db.execute(_EVENTS)
            db.execute(_CHANGES, (self._told,))
            db.execute(_CLASS_ROWS)
            db.execute("DELETE FROM staged")


def _numbers(rows: Iterable[int]) -> Any:
    return apsw.carray(array("q", (0, *rows)))  # it may not be empty, and no row is numbered 0
