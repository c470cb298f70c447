"""Fakes that ship: what our own tests, backtests and your tests use in place of a stream and a clock."""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from daemon.stream.ports import OutRecord, Record, TopicPartition


class FakeClock:
    """Stands still until told otherwise; wall clock and monotonic clock move together unless jumped."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds

    def set(self, now: float) -> None:
        """Move to a later moment (both clocks), as time passes."""
        self.advance(now - self._now)

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an administrator might."""
        self._now += seconds


class MemoryBroker:
    """Topics in memory. ``partitions``: of a topic that is made on first use."""

    def __init__(self, partitions: int = 1) -> None:
        self.partitions = partitions
        self.lock = threading.Condition()
        self.records: dict[TopicPartition, list[Record]] = {}
        self.first: dict[TopicPartition, int] = {}
        self.identity: dict[str, str] = {}
        self.groups: dict[str, dict[TopicPartition, int]] = defaultdict(dict)

    def ensure(self, topic: str) -> list[TopicPartition]:
        self.identity.setdefault(topic, str(uuid.uuid4()))
        places = [TopicPartition(topic, number) for number in range(self.partitions)]
        for place in places:
            self.records.setdefault(place, [])
            self.first.setdefault(place, 0)
        return places

    def topic(self, name: str) -> list[Record]:
        """Everything in a topic, by partition and offset."""
        return [record for place, records in sorted(self.records.items()) if place.topic == name for record in records]

    def recreate(self, topic: str) -> None:
        """Delete a topic and make it anew: another identity, offsets from 0."""
        self.identity.pop(topic, None)
        for place in [place for place in self.records if place.topic == topic]:
            del self.records[place], self.first[place]
        self.ensure(topic)

    def expire(self, place: TopicPartition, before: int) -> None:
        """Retention: drop what is below ``before``."""
        self.records[place] = [record for record in self.records[place] if record.offset >= before]
        self.first[place] = before

    def end(self, place: TopicPartition) -> int:
        records = self.records[place]
        return records[-1].offset + 1 if records else self.first[place]


class MemorySource:
    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group_id: str) -> None:
        self._broker, self._topics, self._group = broker, list(topics), group_id
        with broker.lock:
            self._next = {place: 0 for topic in topics for place in broker.ensure(topic)}

    def identities(self) -> Mapping[str, str]:
        return {topic: self._broker.identity[topic] for topic in self._topics}

    def assignment(self) -> Sequence[TopicPartition]:
        return list(self._next)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        with self._broker.lock:
            while not (found := self._take(max_records)):
                left = deadline - time.monotonic()
                if left <= 0 or not self._broker.lock.wait(left):
                    return []
            return found

    def _take(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for place, offset in self._next.items():
            start = max(0, offset - self._broker.first[place])
            part = self._broker.records[place][start : start + max_records - len(found)]
            if part:
                self._next[place] = part[-1].offset + 1
                found += part
        return found

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._broker.groups[self._group].update(positions)

    def committed(self, partition: TopicPartition) -> int | None:
        return self._broker.groups[self._group].get(partition)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self._broker.first[partition], self._broker.end(partition)

    def close(self) -> None:
        return


class MemorySink:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._waiting: list[OutRecord] = []

    def send(self, records: Sequence[OutRecord]) -> None:
        with self._broker.lock:
            self._waiting += records

    def flush(self, timeout_s: float) -> None:
        with self._broker.lock:
            for number, record in enumerate(self._waiting):
                places = self._broker.ensure(record.topic)
                key = record.key if record.key is not None else number.to_bytes(8, "big")
                place = places[zlib.crc32(key) % len(places)]
                moment = record.timestamp if record.timestamp is not None else time.time()
                made = Record(*place, self._broker.end(place), moment, record.key, record.value, record.headers)
                self._broker.records[place].append(made)
            self._waiting.clear()
            self._broker.lock.notify_all()

    def close(self) -> None:
        return
