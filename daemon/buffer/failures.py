"""The one place where SQLite's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from daemon.errors import StoreCorrupt, StoreError, StoreFull

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
def translated(path: Path) -> Iterator[None]:
    """Raise StoreFull, StoreCorrupt or StoreError instead of apsw's errors; the message names ``path``."""
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
        raise StoreError(f"{path}: locked by another process ({error}); only one ingest role may write it") from error
    except apsw.CantOpenError as error:
        raise StoreError(f"{path}: cannot be opened ({error}); check that it exists and its permissions") from error
    except apsw.Error as error:
        raise StoreError(f"{path}: {type(error).__name__}: {error}") from error
