"""The embedded stream's writing end. Threads that flush at the same time share one commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.config.stream import Embedded
from daemon.errors import RetaindError
from daemon.stream.file import BUSY_TIMEOUT_S, PLACE_BITS, StreamFile
from daemon.stream.headers import pack_headers
from daemon.stream.partition import partition_of
from daemon.stream.ports import OutRecord
from daemon.stream.retention import trim

MAX_PENDING_BYTES = 16 << 20
"""What waits for a flush is written early beyond this."""
TRIM_EVERY_S = 1.0


@dataclass(eq=False)
class _Batch:
    """Records that are committed together; ``error`` goes to everyone who sent some of them."""

    records: list[OutRecord] = field(default_factory=list)
    size: int = 0
    done: bool = False
    error: RetaindError | None = None


class EmbeddedSink:
    """Thread-safe. Topics are made at the first record.

    ``flush`` raises StoreFull or StreamUnavailable where records sent since the last flush were not
    stored; these are then forgotten: send them again.
    """

    def __init__(self, path: Path, cfg: Embedded) -> None:
        self._cfg = cfg
        self._file = StreamFile(path, fsync=cfg.fsync)
        self._adding, self._writing = threading.Lock(), threading.Lock()
        self._current = _Batch()
        self._mine = threading.local()
        self._turn = 0
        self._trimmed: dict[int, float] = {}

    def send(self, records: Sequence[OutRecord]) -> None:
        if not records:
            return
        with self._adding:
            batch = self._current
            batch.records += records
            batch.size += sum(_size(record) for record in records)
            mine: list[_Batch] = self._mine.__dict__.setdefault("batches", [])
            if batch not in mine:
                mine.append(batch)
        if batch.size > MAX_PENDING_BYTES:
            self.flush(BUSY_TIMEOUT_S)

    def flush(self, timeout_s: float) -> None:
        with self._adding:
            mine: list[_Batch] = self._mine.__dict__.pop("batches", [])
            if self._current not in mine:
                mine.append(self._current)
        errors = []
        for batch in mine:
            with self._writing:
                if not batch.done:
                    self._write(batch, timeout_s)
            if batch.error is not None:
                errors.append(batch.error)
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Writes what was not flushed yet."""
        try:
            self.flush(BUSY_TIMEOUT_S)
        finally:
            self._file.close()

    def _write(self, batch: _Batch, timeout_s: float) -> None:
        with self._adding:
            if batch is self._current:
                self._current = _Batch()
        batch.done = True
        if not batch.records:
            return
        try:
            self._file.wait_at_most(timeout_s)
            with self._file.transaction():
                self._append(batch.records)
        except RetaindError as error:
            batch.error = error
        batch.records = []

    def _append(self, records: Sequence[OutRecord]) -> None:
        now = time.time()
        topics: dict[str, list[OutRecord]] = {}
        for record in records:
            topics.setdefault(record.topic, []).append(record)
        for name, its in topics.items():
            self._append_topic(name, its, now)

    def _append_topic(self, name: str, records: Sequence[OutRecord], now: float) -> None:
        file = self._file
        file.make_topic(name, self._cfg.partitions)
        ((topic, size),) = file.query("SELECT id, bytes FROM topics WHERE name = ?", (name,))
        logs = file.query("SELECT id, next FROM logs WHERE topic = ? ORDER BY partition", (topic,))
        following = [offset for _, offset in logs]
        rows = []
        for record in records:
            if record.key is None:
                self._turn += 1
                partition = self._turn % len(logs)
            else:
                partition = partition_of(record.key, len(logs))
            length = _size(record)
            size += length
            rows.append(
                (
                    logs[partition][0] << PLACE_BITS | following[partition],
                    now if record.timestamp is None else record.timestamp,
                    now,
                    record.key,
                    record.value,
                    pack_headers(record.headers),
                    length,
                )
            )
            following[partition] += 1
        file.many("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        moved = [(end, log) for (log, start), end in zip(logs, following, strict=True) if end != start]
        file.many("UPDATE logs SET next = ? WHERE id = ?", moved)
        file.query("UPDATE topics SET bytes = ? WHERE id = ?", (size, topic))
        if size > self._cfg.retention_bytes or now - self._trimmed.get(topic, 0.0) > TRIM_EVERY_S:
            self._trimmed[topic] = now
            trim(file, topic, self._cfg.retention_bytes, now - self._cfg.retention_s)


def _size(record: OutRecord) -> int:
    """Bytes that a record takes, about."""
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + 48
