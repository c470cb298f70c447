"""The embedded stream: topics, partitions and group positions in one SQLite file, shared by processes.

Guarantees:

1. Records that ``flush`` acknowledged are on disk (``synchronous=FULL`` where ``fsync`` is set).
2. Offsets grow by one per record and are never used again, whatever retention removes.
3. A topic has an identity of its own, made with it: a recreated topic is another one.
"""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import orjson

from daemon.config.models import Embedded
from daemon.errors import SchemaTooNew, StoreCorrupt, StoreFull, StreamUnavailable
from daemon.stream.ports import OutRecord, Record, TopicPartition

SCHEMA = 1
BUSY_MS = 30_000
LOOK_S = 0.01
RETAIN_EVERY = 200
_TABLES = """
CREATE TABLE topics(name TEXT PRIMARY KEY, identity TEXT NOT NULL, partitions INTEGER NOT NULL);
CREATE TABLE ends(topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY(topic, partition)) WITHOUT ROWID;
CREATE TABLE records(topic TEXT, partition INTEGER, "offset" INTEGER, time REAL NOT NULL, key BLOB, value BLOB,
  headers BLOB NOT NULL, PRIMARY KEY(topic, partition, "offset")) WITHOUT ROWID;
CREATE TABLE groups(name TEXT, topic TEXT, partition INTEGER, next INTEGER NOT NULL,
  PRIMARY KEY(name, topic, partition)) WITHOUT ROWID;
"""


class EmbeddedStore:
    """The file. One connection, one thread at a time (a lock sees to it)."""

    def __init__(self, path: Path, config: Embedded) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._config = config
        self.lock = threading.RLock()
        with _translated(path):
            self.db = apsw.Connection(str(path))
            self.db.set_busy_timeout(BUSY_MS)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute(f"PRAGMA synchronous={'FULL' if config.fsync else 'NORMAL'}")
            self._migrate(path)
        self.path = path

    def _migrate(self, path: Path) -> None:
        with self.writing():
            (version,) = next(iter(self.db.execute("PRAGMA user_version")))
            if version > SCHEMA:
                raise SchemaTooNew(f"{path} has schema {version}, this retaind knows {SCHEMA}: use a newer retaind")
            if version == 0:
                self.db.execute(_TABLES)
                self.db.execute(f"PRAGMA user_version={SCHEMA}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction. Raises StoreFull, StoreCorrupt, StreamUnavailable."""
        with self.lock, _translated(Path(self.db.filename)):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def ensure(self, topic: str) -> int:
        """Make the topic where it is missing; returns how many partitions it has. Inside a transaction."""
        row = self.db.execute("SELECT partitions FROM topics WHERE name=?", (topic,)).fetchone()
        if row is not None:
            return int(row[0])
        count = self._config.partitions
        self.db.execute("INSERT INTO topics VALUES(?,?,?)", (topic, str(uuid.uuid4()), count))
        self.db.executemany("INSERT INTO ends VALUES(?,?,0)", [(topic, partition) for partition in range(count)])
        return count

    def retain(self, topic: str, now: float) -> None:
        """Drop old records by age and by size. Inside a transaction."""
        self.db.execute("DELETE FROM records WHERE topic=? AND time<?", (topic, now - self._config.retention_s))
        (size,) = self.db.execute(
            "SELECT coalesce(sum(length(value)+64),0) FROM records WHERE topic=?", (topic,)
        ).fetchone()
        if size > self._config.retention_bytes:
            self.db.execute(
                'DELETE FROM records WHERE topic=?1 AND "offset" < (SELECT (min("offset")+max("offset"))/2 '
                "FROM records r WHERE r.topic=?1 AND r.partition=records.partition)",
                (topic,),
            )

    def close(self) -> None:
        with self.lock:
            self.db.close()


class EmbeddedSource:
    def __init__(self, path: Path, topics: Sequence[str], group_id: str, config: Embedded) -> None:
        self._store = EmbeddedStore(path, config)
        self._group = group_id
        self._topics = list(topics)
        self._next: dict[TopicPartition, int] = {}
        with self._store.writing():
            for topic in topics:
                for partition in range(self._store.ensure(topic)):
                    self._next[TopicPartition(topic, partition)] = 0

    def identities(self) -> Mapping[str, str]:
        rows = self._query("SELECT name, identity FROM topics")
        return {name: identity for name, identity in rows if name in self._topics}

    def assignment(self) -> Sequence[TopicPartition]:
        return list(self._next)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            records = self._read(max_records)
            if records or time.monotonic() >= deadline:
                return records
            time.sleep(min(LOOK_S, max(0.0, deadline - time.monotonic())))

    def _read(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for (topic, partition), offset in self._next.items():
            rows = self._query(
                'SELECT "offset", time, key, value, headers FROM records WHERE topic=? AND partition=? AND "offset">=? '
                'ORDER BY "offset" LIMIT ?',
                (topic, partition, offset, max_records - len(found)),
            )
            found += [Record(topic, partition, o, t, key, value, _headers(h)) for o, t, key, value, h in rows]
            if len(found) >= max_records:
                break
        for record in found:
            self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        return found

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        with self._store.writing():
            self._store.db.executemany(
                "INSERT INTO groups VALUES(?,?,?,?) ON CONFLICT DO UPDATE SET next=excluded.next",
                [(self._group, p.topic, p.partition, offset) for p, offset in positions.items()],
            )

    def committed(self, partition: TopicPartition) -> int | None:
        rows = self._query(
            "SELECT next FROM groups WHERE name=? AND topic=? AND partition=?", (self._group, *partition)
        )
        return int(rows[0][0]) if rows else None

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        ((end,),) = self._query("SELECT next FROM ends WHERE topic=? AND partition=?", tuple(partition))
        ((first,),) = self._query('SELECT min("offset") FROM records WHERE topic=? AND partition=?', tuple(partition))
        return (int(end) if first is None else int(first)), int(end)

    def close(self) -> None:
        self._store.close()

    def _query(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        with self._store.lock, _translated(self._store.path):
            return list(self._store.db.execute(sql, values))


class EmbeddedSink:
    """``send`` collects, ``flush`` writes all of it in one transaction."""

    def __init__(self, path: Path, config: Embedded) -> None:
        self._store = EmbeddedStore(path, config)
        self._waiting: list[OutRecord] = []
        self._lock = threading.Lock()
        self._flushes = 0

    def send(self, records: Sequence[OutRecord]) -> None:
        with self._lock:
            self._waiting += records

    def flush(self, timeout_s: float) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                self._write(waiting)
            except BaseException:
                self._waiting = waiting + self._waiting
                raise

    def _write(self, records: Sequence[OutRecord]) -> None:
        db, now = self._store.db, time.time()
        with self._store.writing():
            counts = {topic: self._store.ensure(topic) for topic in {record.topic for record in records}}
            ends: dict[tuple[str, int], int] = {}
            rows = []
            for number, record in enumerate(records):
                key = record.key if record.key is not None else number.to_bytes(8, "big")
                place = (record.topic, zlib.crc32(key) % counts[record.topic])
                if place not in ends:
                    (ends[place],) = db.execute("SELECT next FROM ends WHERE topic=? AND partition=?", place).fetchone()
                moment = record.timestamp if record.timestamp is not None else now
                headers = orjson.dumps([[name, value.hex()] for name, value in record.headers])
                rows.append((*place, ends[place], moment, record.key, record.value, headers))
                ends[place] += 1
            db.executemany("INSERT INTO records VALUES(?,?,?,?,?,?,?)", rows)
            db.executemany(
                "UPDATE ends SET next=? WHERE topic=? AND partition=?", [(end, *place) for place, end in ends.items()]
            )
            self._flushes += 1
            if self._flushes % RETAIN_EVERY == 0:
                for topic in counts:
                    self._store.retain(topic, now)

    def close(self) -> None:
        self._store.close()


def _headers(data: object) -> tuple[tuple[str, bytes], ...]:
    assert isinstance(data, bytes)
    return tuple((name, bytes.fromhex(value)) for name, value in orjson.loads(data))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except (apsw.FullError, apsw.IOError) as error:
        raise StoreFull(f"{path}: cannot be written ({error}); make room on its disk") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{path}: is damaged ({error}); restore it from a backup") from error
    except (apsw.BusyError, apsw.LockedError, apsw.CantOpenError) as error:
        raise StreamUnavailable(f"{path}: {error}") from error
