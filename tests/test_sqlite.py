"""A file that is read while another process has it to itself."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest

from daemon import sqlite
from daemon.sqlite import read_only, use_wal


@pytest.fixture
def held(tmp_path: Path) -> apsw.Connection:
    """A connection that has ``tmp_path/f`` to itself, as who recovers a write-ahead log has."""
    connection = apsw.Connection(str(tmp_path / "f"))
    use_wal(connection, 1)
    connection.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    connection.close()
    connection = apsw.Connection(str(tmp_path / "f"))
    connection.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE").fetchall()
    return connection


def test_a_reader_waits_for_who_has_the_file_to_itself(tmp_path: Path, held: apsw.Connection) -> None:
    # Given a file that is let go a while later
    later = threading.Timer(0.3, held.close)
    later.start()
    # When it is read
    reader = read_only(tmp_path / "f")
    rows = reader.execute("SELECT n FROM t").fetchall()
    # Then it was waited for, and nothing can be written
    later.join()
    assert rows == [(1,)]
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("DELETE FROM t")
    reader.close()


def test_a_file_that_is_never_let_go_is_told(
    tmp_path: Path, held: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "READER_WAITS_MS", 50)
    reader = read_only(tmp_path / "f")
    with pytest.raises(apsw.BusyError):
        reader.execute("SELECT n FROM t")
    reader.close()
    held.close()
