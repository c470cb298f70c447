"""What tests and backtests use instead of clock, thread and stream. Shipped, so that plug-ins can test with it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from daemon.beside import AtOnce
from daemon.errors import RecordRefused, StreamDenied, StreamError, StreamUnavailable
from daemon.stream.partition import partition_of
from daemon.stream.ports import OutRecord, Record, TopicPartition

Given = ParamSpec("Given")
Made = TypeVar("Made")


class FakeClock:
    """A clock that stands still until it is moved. ``now`` and ``monotonic`` are one."""

    def __init__(self, start: float = 0.0) -> None:
        self._seconds = start

    def now(self) -> float:
        return self._seconds

    def monotonic(self) -> float:
        return self._seconds

    def set(self, seconds: float) -> None:
        self._seconds = seconds

    def advance(self, seconds: float) -> None:
        self._seconds += seconds


class Later(AtOnce):
    """Runs what it was given when :meth:`run` is called: a thread that is as slow as the test wants it."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def submit(self, fn: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Made]:
        future: Future[Made] = Future()

        def do() -> None:
            done = super(Later, self).submit(fn, *args, **kwargs)
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            else:
                future.set_exception(error)

        self.waiting.append(do)
        return future

    def run(self) -> None:
        """All that waits, in order."""
        while self.waiting:
            self.waiting.pop(0)()


@dataclass
class _Log:
    first: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.first + len(self.records)


@dataclass
class _Topic:
    logs: list[_Log]
    identity: str = field(default_factory=lambda: f"memory:{uuid.uuid4().hex}")


class MemoryBroker:
    """Topics in memory, for any number of sources and sinks of one process.

    ``down``: poll and flush raise StreamUnavailable while it is set. ``denied``: topics that may neither be read
    nor written (StreamDenied). ``max_record_bytes``: a larger value is refused (RecordRefused), as a topic's own
    limit does. A source polls with the broker's condition, so it wakes at once. ``trim`` and ``recreate`` do what
    retention and operators do.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.down = False
        self.denied: set[str] = set()
        self.max_record_bytes: int | None = None
        self.changed = threading.Condition(threading.RLock())
        self._partitions = partitions
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[tuple[str, TopicPartition], int] = {}
        self._turn = 0

    def topic(self, name: str) -> _Topic:
        with self.changed:
            return self._topics.setdefault(name, _Topic([_Log() for _ in range(self._partitions)]))

    def log(self, partition: TopicPartition) -> _Log:
        return self.topic(partition.topic).logs[partition.partition]

    def append(self, records: Sequence[OutRecord]) -> None:
        with self.changed:
            for record in records:
                logs = self.topic(record.topic).logs
                self._turn += 1
                key = record.key
                number = self._turn % len(logs) if key is None else partition_of(key, len(logs))
                timestamp = time.time() if record.timestamp is None else record.timestamp
                place = (record.topic, number, logs[number].next)
                logs[number].records.append(Record(*place, timestamp, key, record.value, record.headers))
            self.changed.notify_all()

    def records(self, topic: str) -> list[Record]:
        """All that is kept of a topic, partition after partition."""
        with self.changed:
            return [record for log in self.topic(topic).logs for record in log.records]

    def trim(self, partition: TopicPartition, first: int) -> None:
        """Forget the records before offset ``first``, as retention does."""
        with self.changed:
            log = self.log(partition)
            del log.records[: max(0, first - log.first)]
            log.first = max(first, log.first)

    def recreate(self, topic: str) -> None:
        """Delete a topic and make it again: another identity, offsets from 0."""
        with self.changed:
            self._topics.pop(topic, None)
            self.topic(topic)

    def check(self, topics: Iterable[str]) -> None:
        """Raises StreamUnavailable, StreamDenied."""
        if self.down:
            raise StreamUnavailable("the broker in memory was told to be down")
        for topic in sorted(self.denied.intersection(topics)):
            raise StreamDenied(f"{topic}: not permitted; grant it")

    def refuses(self, record: OutRecord) -> bool:
        return self.max_record_bytes is not None and len(record.value or b"") > self.max_record_bytes

    def committed(self, group: str, partition: TopicPartition) -> int | None:
        return self._groups.get((group, partition))

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        self._groups.update({(group, partition): offset for partition, offset in positions.items()})


class MemorySource:
    """Reads every partition of ``topics``; starts at the oldest record until told otherwise."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group_id: str) -> None:
        self._broker, self._topics, self._group = broker, list(topics), group_id
        self._next: dict[TopicPartition, int] = {}
        self._paused = False
        for partition in self.assignment():
            self._next[partition] = broker.log(partition).first

    def identities(self) -> Mapping[str, str]:
        return {topic: self._broker.topic(topic).identity for topic in self._topics}

    def assignment(self) -> Sequence[TopicPartition]:
        return [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in range(len(self._broker.topic(topic).logs))
        ]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._check(partition)
        self._next[partition] = offset

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        with self._broker.changed:
            while True:
                self._broker.check(self._topics)
                records = [] if self._paused else self._read(max_records)
                left = deadline - time.monotonic()
                if records or left <= 0:
                    return records
                self._broker.changed.wait(left)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._broker.commit(self._group, positions)

    def committed(self, partition: TopicPartition) -> int | None:
        self._check(partition)
        return self._broker.committed(self._group, partition)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        self._check(partition)
        log = self._broker.log(partition)
        return log.first, log.next

    def close(self) -> None:
        return

    def _check(self, partition: TopicPartition) -> None:
        if partition not in self._next:
            raise StreamError(f"{partition.topic}[{partition.partition}]: not among the partitions that are read")

    def _read(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for partition in self._next:
            log = self._broker.log(partition)
            start = max(self._next[partition], log.first) - log.first
            taken = log.records[start : start + max_records - len(found)]
            if taken:
                self._next[partition] = taken[-1].offset + 1
                found += taken
        return found


class MemorySink:
    """Writes to a broker at ``flush``. Thread-safe."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._pending: list[OutRecord] = []

    def send(self, records: Sequence[OutRecord]) -> None:
        with self._lock:
            self._pending += records

    def flush(self, timeout_s: float) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
            self._broker.check(record.topic for record in pending)
            refused = [record for record in pending if self._broker.refuses(record)]
            self._broker.append([record for record in pending if not self._broker.refuses(record)])
        if refused:
            raise RecordRefused(
                f"{refused[0].topic}: {len(refused)} records are larger than {self._broker.max_record_bytes} bytes",
                refused,
            )

    def close(self) -> None:
        if self._pending:
            self.flush(1.0)
