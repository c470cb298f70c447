"""Topics of one broker, through kafka-python: made, filled, cut and read, independently of the daemon's code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

ACK_S = 60


@dataclass(frozen=True, slots=True)
class Stored:
    """One record as Kafka holds it; ``time_ms`` is its timestamp."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    time_ms: int


class Topics:
    """What a test does to topics. ``security`` are kafka-python's own settings, for listeners other than plain."""

    def __init__(self, bootstrap: str, **security: Any) -> None:
        self.bootstrap = bootstrap
        self._to: dict[str, Any] = {"bootstrap_servers": bootstrap, **security}

    def admin(self) -> KafkaAdminClient:
        """A client that the caller closes."""
        return KafkaAdminClient(**self._to)

    def create(self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
        """Create a topic and wait until every partition has a leader."""
        with closing(self.admin()) as admin:
            wanted = {"num_partitions": partitions, "configs": dict(configs or {})}
            admin.create_topics({name: wanted}, wait_for_metadata=True)

    def delete(self, name: str) -> None:
        with closing(self.admin()) as admin:
            admin.delete_topics([name])

    def delete_before(self, name: str, offset: int, partition: int = 0) -> None:
        """DeleteRecords: make ``offset`` the first one that can be read."""
        with closing(self.admin()) as admin:
            admin.delete_records({TopicPartition(name, partition): offset})

    def produce(
        self,
        name: str,
        values: Iterable[bytes | None],
        *,
        keys: Iterable[bytes | None] | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> list[tuple[int, int]]:
        """Produce with acks=all and wait; (partition, offset) of each, in order."""
        values = list(values)
        named = [None] * len(values) if keys is None else list(keys)
        with closing(KafkaProducer(acks="all", **self._to)) as producer:
            sent = [
                producer.send(name, value, key=key, headers=list(headers), partition=partition)
                for value, key in zip(values, named, strict=True)
            ]
            stored = [future.get(timeout=ACK_S) for future in sent]
        return [(each.partition, each.offset) for each in stored]

    def bounds(self, name: str) -> dict[int, tuple[int, int]]:
        """First offset and the one after the last, by partition; transaction markers count."""
        with closing(KafkaConsumer(**self._to)) as consumer:
            return self._bounds(consumer, name)

    def read(self, name: str, *, committed: bool = True) -> list[Stored]:
        """All that is in it now, by partition and offset; ``committed``: only what transactions committed."""
        level = "read_committed" if committed else "read_uncommitted"
        with closing(KafkaConsumer(enable_auto_commit=False, isolation_level=level, **self._to)) as consumer:
            bounds = self._bounds(consumer, name)
            partitions = {TopicPartition(name, number): end for number, (_, end) in bounds.items()}
            consumer.assign(list(partitions))
            consumer.seek_to_beginning()
            found: list[Stored] = []
            while any(consumer.position(at) < end for at, end in partitions.items()):
                for records in consumer.poll(timeout_ms=200).values():
                    found += [
                        Stored(r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp) for r in records
                    ]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def _bounds(self, consumer: KafkaConsumer, name: str) -> dict[int, tuple[int, int]]:
        numbers = consumer.partitions_for_topic(name)
        assert numbers, f"there is no topic {name}"
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return {at.partition: (first[at], end[at]) for at in partitions}
