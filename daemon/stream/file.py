"""``stream.sqlite``: its tables, and how it is opened.

Several processes share the file: WAL, so that readers never wait, and one writer at a time by SQLite's lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import apsw

from daemon.errors import SchemaTooNew, StoreError, StreamUnavailable
from daemon.sqlite import translated, use_wal

SCHEMA_VERSION = 1
APPLICATION_ID = 0x52545354  # "RTST"
BUSY_TIMEOUT_S = 10.0
PLACE_BITS = 40
"""A record's rowid is ``log << 40 | offset``: a partition's records lie together, in order."""

_VERSION_1 = """
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, identity TEXT NOT NULL,
    bytes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE logs (             -- one partition of a topic; next is never lowered
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, partition INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition));
CREATE TABLE records (          -- written: when it was stored; retention goes by it
    place INTEGER PRIMARY KEY, timestamp REAL NOT NULL, written REAL NOT NULL,
    key BLOB, value BLOB, headers BLOB, size INTEGER NOT NULL);
CREATE TABLE positions (        -- a group's next offset
    name TEXT NOT NULL, log INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (name, log)) WITHOUT ROWID;
"""


class StreamFile:
    """One connection. One thread at a time.

    ``fsync``: a commit waits for the disk, so that it survives a power cut; without, it survives only the
    death of the process. Raises SchemaTooNew, StoreCorrupt, StoreFull, StoreError.
    """

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self._path = path
        with self.translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = apsw.Connection(str(path))
            self.wait_at_most(BUSY_TIMEOUT_S)
            try:
                use_wal(self._connection, BUSY_TIMEOUT_S)
                self.query(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def query(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, tuple(bindings)).fetchall()

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, [tuple(row) for row in rows])

    def wait_at_most(self, seconds: float) -> None:
        """How long a statement waits for another process's write before StreamUnavailable."""
        self._connection.set_busy_timeout(max(1, int(seconds * 1000)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; taken for writing at once, so that it cannot fail half way for another writer."""
        with self.translated():
            self.query("BEGIN IMMEDIATE")
            try:
                yield
                self.query("COMMIT")
            except BaseException:
                if not self._connection.get_autocommit():
                    self.query("ROLLBACK")
                raise

    def translated(self) -> AbstractContextManager[None]:
        """Our errors instead of apsw's."""
        return translated(self._path, StreamUnavailable)

    def make_topic(self, name: str, partitions: int) -> None:
        """Within a transaction. A topic that is there keeps its identity and partitions."""
        if self.query("SELECT 1 FROM topics WHERE name = ?", (name,)):
            return
        self.query("INSERT INTO topics (name, identity) VALUES (?, ?)", (name, uuid.uuid4().hex))
        topic = self._connection.last_insert_rowid()
        self.many("INSERT INTO logs (topic, partition) VALUES (?, ?)", [(topic, n) for n in range(partitions)])

    def version(self) -> int:
        """Changes whenever another connection has committed."""
        return int(self.query("PRAGMA data_version")[0][0])

    def close(self) -> None:
        self._connection.close()

    def _prepare(self) -> None:
        with self.transaction():
            version = int(self.query("PRAGMA user_version")[0][0])
            application = int(self.query("PRAGMA application_id")[0][0])
            if version == 0 and application == 0 and not self.query("SELECT 1 FROM sqlite_schema LIMIT 1"):
                self._connection.execute(_VERSION_1)
                self.query(f"PRAGMA application_id={APPLICATION_ID}")
                self.query(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif application != APPLICATION_ID:
                raise StoreError(f"{self._path}: is no stream of retaind; move it away, or set another state_dir")
            elif version > SCHEMA_VERSION:
                raise SchemaTooNew(
                    f"{self._path}: schema {version}, this retaind knows {SCHEMA_VERSION}; install a newer retaind"
                )
