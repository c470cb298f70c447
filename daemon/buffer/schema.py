"""The tables of ``buffer.sqlite``, their version, and how the file is opened.

Guarantees:

1. WAL with ``synchronous=FULL``: what a committed transaction wrote survives a crash or a power cut.
2. A file made by a newer retaind is refused (SchemaTooNew) and left as it is; so is a file that is not ours.
3. Freed text is overwritten (``secure_delete``), so that what is erased is not left in the file. No other file gets
   any: what SQLite keeps for a transaction is in memory (``temp_store``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import apsw

from daemon.errors import SchemaTooNew, StoreError
from daemon.sqlite import read_only, translated

SCHEMA_VERSION = 2
APPLICATION_ID = 0x52544E44  # "RTND"
BUSY_TIMEOUT_MS = 10_000

_VERSION_1 = """
CREATE TABLE tasks (            -- counters, written once per append
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, split TEXT NOT NULL,
    last_seq INTEGER NOT NULL, events INTEGER NOT NULL, validation INTEGER NOT NULL,
    holdout INTEGER NOT NULL, pending INTEGER NOT NULL, expired INTEGER NOT NULL);
CREATE TABLE classes (          -- name NULL: the task's events without a label
    id INTEGER PRIMARY KEY, task INTEGER NOT NULL, name TEXT,
    rows INTEGER NOT NULL, train_rows INTEGER NOT NULL);
CREATE INDEX classes_task ON classes(task);
CREATE TABLE events (           -- kept events, in order of arrival; label as of now
    row INTEGER PRIMARY KEY, task INTEGER NOT NULL, digest BLOB NOT NULL, id TEXT NOT NULL,
    time REAL NOT NULL, text TEXT, text_pair TEXT, tokens TEXT, key BLOB NOT NULL, input_order BLOB NOT NULL,
    attributes TEXT, split INTEGER, label, label_time REAL, label_order BLOB, source TEXT NOT NULL,
    class INTEGER NOT NULL, slot INTEGER, seq INTEGER NOT NULL, revision INTEGER NOT NULL,
    erased INTEGER NOT NULL);
CREATE UNIQUE INDEX events_digest ON events(digest);
CREATE INDEX events_seq ON events(task, split, seq) WHERE label IS NOT NULL AND erased = 0;
CREATE INDEX events_class ON events(class, time) WHERE erased = 0;
CREATE INDEX events_erased ON events(task, seq) WHERE erased = 1;
CREATE TABLE class_rows (       -- the n-th labelled train event of a class, n dense from 0
    class INTEGER NOT NULL, n INTEGER NOT NULL, event INTEGER NOT NULL,
    PRIMARY KEY (class, n)) WITHOUT ROWID;
CREATE TABLE gone (             -- digests of ids that outlive their event: 1 evicted, 2 erased
    digest BLOB PRIMARY KEY, state INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE splits (           -- decided once per key, never changed
    task INTEGER NOT NULL, key BLOB NOT NULL, split INTEGER NOT NULL,
    PRIMARY KEY (task, key)) WITHOUT ROWID;
CREATE TABLE changes (          -- prior: the previous change of the same event (0: none)
    task INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, event INTEGER NOT NULL,
    prior INTEGER NOT NULL, label, label_time REAL, source TEXT NOT NULL, revision INTEGER NOT NULL,
    previous_label, PRIMARY KEY (task, seq)) WITHOUT ROWID;
CREATE TABLE inputs (           -- an earlier input of an event: in force for its changes with seq < until
    event INTEGER NOT NULL, until INTEGER NOT NULL, time REAL NOT NULL, text TEXT, text_pair TEXT,
    tokens TEXT, key BLOB NOT NULL, attributes TEXT, PRIMARY KEY (event, until)) WITHOUT ROWID;
CREATE TABLE label_history (    -- every label that an event does not have now
    event INTEGER NOT NULL, label_order BLOB NOT NULL, label, label_time REAL, source TEXT NOT NULL,
    PRIMARY KEY (event, label_order)) WITHOUT ROWID;
CREATE TABLE pending (          -- labels that wait for their event
    digest BLOB NOT NULL, label_order BLOB NOT NULL, task INTEGER NOT NULL, label, label_time REAL NOT NULL,
    source TEXT NOT NULL, arrived REAL NOT NULL, PRIMARY KEY (digest, label_order)) WITHOUT ROWID;
CREATE INDEX pending_arrived ON pending(arrived);
CREATE TABLE positions (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE identities (topic TEXT PRIMARY KEY, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (           -- digest: of the (task, id) that the dead record names, where it does
    number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    offset INTEGER NOT NULL, timestamp REAL NOT NULL, key BLOB, value BLOB, headers BLOB NOT NULL,
    reason TEXT NOT NULL, digest BLOB, UNIQUE (topic, partition, offset));
CREATE INDEX outbox_digest ON outbox(digest) WHERE digest IS NOT NULL;
"""

_LETTER_BYTES = "coalesce(length({0}key), 0) + coalesce(length({0}value), 0) + length({0}headers)"

_VERSION_2 = f"""
CREATE TABLE outbox_size (      -- one row, kept by the triggers: what waits, in letters and bytes
    letters INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO outbox_size SELECT count(*), coalesce(sum({_LETTER_BYTES.format("")}), 0) FROM outbox;
CREATE TRIGGER outbox_in AFTER INSERT ON outbox BEGIN
    UPDATE outbox_size SET letters = letters + 1, bytes = bytes + {_LETTER_BYTES.format("new.")}; END;
CREATE TRIGGER outbox_out AFTER DELETE ON outbox BEGIN
    UPDATE outbox_size SET letters = letters - 1, bytes = bytes - ({_LETTER_BYTES.format("old.")}); END;
"""

MIGRATIONS: Mapping[int, str] = {1: _VERSION_1, 2: _VERSION_2}
"""version -> the statements that lead to it from the one before."""


def open_to_write(path: Path) -> apsw.Connection:
    """Create, migrate or open the file.

    Raises SchemaTooNew, StoreCorrupt, or StoreError where the file is another program's.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = apsw.Connection(str(path))
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            version = _check(connection, path, writable=True)
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("secure_delete", "on")
            connection.pragma("temp_store", "memory")
            connection.pragma("cache_size", -65536)
            connection.pragma("journal_size_limit", 64 << 20)
            connection.wal_autocheckpoint(4000)
            if version < SCHEMA_VERSION:
                _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_to_read(path: Path) -> apsw.Connection:
    """Open an existing file read-only; never checkpoints. Errors as in :func:`open_to_write`."""
    if not path.exists():
        raise StoreError(f"{path}: no buffer there yet; start the ingest role once, it creates it")
    with translated(path):
        connection = read_only(path)
        try:
            if _check(connection, path, writable=False) < SCHEMA_VERSION:
                raise StoreError(f"{path}: made by an older retaind; start the ingest role once, it migrates it")
            connection.pragma("query_only", True)
            connection.pragma("cache_size", -32768)
        except BaseException:
            connection.close()
            raise
        return connection


def _check(connection: apsw.Connection, path: Path, *, writable: bool) -> int:
    version = int(connection.pragma("user_version"))
    application = int(connection.pragma("application_id"))
    if application != APPLICATION_ID:
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        if tables or version or not writable:
            raise StoreError(
                f"{path}: not a retaind buffer (application_id {application:#x}, expected {APPLICATION_ID:#x}); "
                "point state_dir elsewhere"
            )
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path}: schema version {version} was made by a newer retaind; this one knows up to "
            f"{SCHEMA_VERSION}: install the newer retaind"
        )
    return version


def _migrate(connection: apsw.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _check(connection, path, writable=True)
        for target in range(version + 1, SCHEMA_VERSION + 1):
            connection.execute(MIGRATIONS[target])
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
