"""Reading rows, typed: SQLite's columns have no static types, so a row is a tuple of Any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw


def query(connection: apsw.Connection, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    return connection.execute(sql, tuple(bindings)).fetchall()


def first(connection: apsw.Connection, sql: str, bindings: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row of a statement, None where there is none."""
    row: tuple[Any, ...] | None = connection.execute(sql, tuple(bindings)).fetchone()
    return row
