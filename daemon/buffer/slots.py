"""The train rows of a class, numbered from 0 without a gap, so that a draw is a number (table ``class_rows``).

A row's number is its *slot*. Rows that are new in a batch take theirs along when they are filed; what changes for rows
that were stored before is written here.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from daemon.buffer.rows import Row
from daemon.buffer.split import TRAIN


class Slots:
    """Of one batch."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._stored: dict[int, Row] = {}
        self._homes: dict[int, int] = {}  # row -> class in class_rows as stored

    def know(self, row: Row) -> None:
        """A row that was stored before, as it is stored."""
        self._stored[row.row] = row
        if row.slot is not None:
            self._homes[row.row] = row.class_

    def move(self, changed: Sequence[Row], new: Sequence[Row]) -> None:
        """Give each of ``new`` its slot, and each of the ``changed``, which were stored before, where it trains now."""
        self._leave(changed)
        ends: dict[int, int] = {}
        self._take(new, ends)
        moved = [(row.class_, row.slot, row.row) for row in self._take(changed, ends)]
        self._connection.executemany("INSERT INTO class_rows VALUES (?, ?, ?)", moved)

    def _leave(self, changed: Sequence[Row]) -> None:
        """Rows that no longer train where they did: the class's last row takes their place."""
        db = self._connection
        lasts: dict[int, int] = {}
        for row in changed:
            home = self._homes.get(row.row)
            if home is None or (row.trains and row.class_ == home):
                continue
            self._last(home, lasts)
            last = lasts[home]
            slot = row.slot
            assert slot is not None
            if slot != last:
                mover = db.execute("SELECT event FROM class_rows WHERE class = ? AND n = ?", (home, last)).get
                db.execute("UPDATE class_rows SET event = ? WHERE class = ? AND n = ?", (mover, home, slot))
                cached = self._stored.get(mover)
                if cached is not None:
                    cached.slot = slot
                db.execute("UPDATE events SET slot = ? WHERE row = ?", (slot, mover))
            db.execute("DELETE FROM class_rows WHERE class = ? AND n = ?", (home, last))
            lasts[home] = last - 1
            row.slot = None
            del self._homes[row.row]

    def _take(self, touched: Sequence[Row], ends: dict[int, int]) -> list[Row]:
        """Those of ``touched`` that train and had no slot. ``ends``: the last slot taken, by class."""
        taken = []
        for row in touched:
            if row.label is not None and row.split == TRAIN and not row.erased and row.row not in self._homes:
                self._last(row.class_, ends)
                row.slot = ends[row.class_] = ends[row.class_] + 1
                taken.append(row)
        return taken

    def _last(self, class_id: int, lasts: dict[int, int]) -> None:
        """Look up the class's last slot, -1 where it has none, unless ``lasts`` knows it."""
        if class_id not in lasts:
            last = self._connection.execute("SELECT max(n) FROM class_rows WHERE class = ?", (class_id,)).get
            lasts[class_id] = -1 if last is None else last
