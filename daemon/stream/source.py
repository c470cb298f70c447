"""The embedded stream's reading end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from daemon.config.stream import Embedded
from daemon.errors import StreamError
from daemon.stream.file import PLACE_BITS, StreamFile
from daemon.stream.headers import unpack_headers
from daemon.stream.ports import Record, TopicPartition

WAKE_S = 0.005
"""How often a waiting poll looks whether something was written."""
MAX_POLL_BYTES = 32 << 20


class EmbeddedSource:
    """Reads ``topics`` (made where they are missing) for ``group_id``. One thread at a time.

    One source of a group reads every partition: there is no sharing among processes, the role's lock
    keeps others away. Reading starts at the oldest record until :meth:`seek` says otherwise.
    """

    def __init__(self, path: Path, topics: Sequence[str], group_id: str, cfg: Embedded) -> None:
        self._file = StreamFile(path, fsync=False)
        self._group = group_id
        with self._file.transaction():
            for topic in topics:
                self._file.make_topic(topic, cfg.partitions)
        self._logs: dict[TopicPartition, int] = {}
        self._identities: dict[str, str] = {}
        with self._file.translated():
            for topic in topics:
                for log, partition, identity in self._file.query(
                    "SELECT logs.id, partition, identity FROM logs JOIN topics ON topics.id = topic WHERE name = ? "
                    "ORDER BY partition",
                    (topic,),
                ):
                    self._logs[TopicPartition(topic, partition)] = log
                    self._identities[topic] = f"embedded:{identity}"
        self._next = {partition: self.bounds(partition)[0] for partition in self._logs}
        self._turn = 0
        self._paused = False

    def identities(self) -> Mapping[str, str]:
        return self._identities

    def assignment(self) -> Sequence[TopicPartition]:
        return list(self._logs)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._log(partition)
        self._next[partition] = offset

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        with self._file.translated():
            while True:
                version = self._file.version()
                records = [] if self._paused else self._read(max_records)
                if records:
                    return records
                while self._file.version() == version:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return []
                    time.sleep(min(WAKE_S, left))

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        rows = [(self._group, self._log(partition), offset) for partition, offset in positions.items()]
        with self._file.transaction():
            self._file.many("REPLACE INTO positions VALUES (?, ?, ?)", rows)

    def committed(self, partition: TopicPartition) -> int | None:
        bindings = (self._group, self._log(partition))
        with self._file.translated():
            rows = self._file.query("SELECT next FROM positions WHERE name = ? AND log = ?", bindings)
        return int(rows[0][0]) if rows else None

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        with self._file.translated():
            ((first, following),) = self._file.query(
                "SELECT first, next FROM logs WHERE id = ?", (self._log(partition),)
            )
        return first, following

    def close(self) -> None:
        self._file.close()

    def _log(self, partition: TopicPartition) -> int:
        log = self._logs.get(partition)
        if log is None:
            raise StreamError(f"{partition.topic}[{partition.partition}]: not among the partitions that are read")
        return log

    def _read(self, max_records: int) -> list[Record]:
        """From each partition in turn, another one first each time, so that none starves."""
        partitions = list(self._logs)
        self._turn += 1
        found: list[Record] = []
        size = 0
        for n in range(len(partitions)):
            partition = partitions[(self._turn + n) % len(partitions)]
            start = self._logs[partition] << PLACE_BITS
            rows = self._file.query(
                "SELECT place, timestamp, key, value, headers, size FROM records "
                "WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
                (start | self._next[partition], start + (1 << PLACE_BITS), max_records - len(found)),
            )
            for place, timestamp, key, value, headers, length in rows:
                if found and size + length > MAX_POLL_BYTES:
                    return found
                offset = place - start
                found.append(Record(*partition, offset, timestamp, key, value, unpack_headers(headers)))
                self._next[partition] = offset + 1
                size += length
            if len(found) >= max_records:
                break
        return found
