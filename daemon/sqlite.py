"""What every SQLite file of ours needs: its errors as ours, and a switch to WAL and a reader that wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from daemon.errors import RetaindError, StoreCorrupt, StoreError, StoreFull

AGAIN_S = 0.01
READER_WAITS_MS = 10_000
_NO_ROOM = frozenset(
    {
        apsw.SQLITE_IOERR_WRITE,
        apsw.SQLITE_IOERR_FSYNC,
        apsw.SQLITE_IOERR_DIR_FSYNC,
        apsw.SQLITE_IOERR_TRUNCATE,
        apsw.SQLITE_IOERR_SHMSIZE,
        apsw.SQLITE_IOERR_SHMOPEN,
    }
)


@contextmanager
def translated(path: Path, busy: type[RetaindError] = StoreError) -> Iterator[None]:
    """Raise StoreFull, StoreCorrupt, StoreError or, where another process holds the file for longer than
    the busy timeout, ``busy``; the message names the file and the mend."""
    try:
        yield
    except apsw.FullError as error:
        raise StoreFull(f"{path}: no space left ({error}); nothing was stored: make room, it is tried again") from error
    except apsw.IOError as error:
        if getattr(error, "extendedresult", None) in _NO_ROOM:
            raise StoreFull(f"{path}: cannot be written ({error}); nothing was stored: make room") from error
        raise StoreError(f"{path}: input/output error ({error}); check the disk") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(
            f"{path}: damaged ({error}); restore it from a backup, or move it away to start anew"
        ) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise busy(f"{path}: locked by another process ({error}); it is tried again") from error
    except apsw.CantOpenError as error:
        raise StoreError(f"{path}: cannot be opened ({error}); check that it exists and its permissions") from error
    except apsw.Error as error:
        raise StoreError(f"{path}: {type(error).__name__}: {error}") from error


def use_wal(connection: apsw.Connection, timeout_s: float) -> None:
    """Switch to WAL. SQLite does not heed its busy timeout when several processes do so on a new file at once:
    wait here. Raises apsw.BusyError after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_S)


def read_only(path: Path) -> apsw.Connection:
    """An existing file, to read. It waits ``READER_WAITS_MS`` where another process has the file to itself: who opens
    it first after a kill does so for as long as it recovers the write-ahead log. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(READER_WAITS_MS)
    return connection
