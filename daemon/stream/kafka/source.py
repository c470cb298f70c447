"""Kafka's reading end, as a member of a consumer group or of every partition."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata
from kafka import TopicPartition as Place

from daemon.config.kafka import Kafka
from daemon.errors import Fenced, PositionLost, Rebalanced, StreamError, StreamUnavailable
from daemon.stream.kafka import topics as admin
from daemon.stream.kafka.deals import Deals
from daemon.stream.kafka.errors import translated
from daemon.stream.kafka.incarnations import Incarnations
from daemon.stream.kafka.opening import opened
from daemon.stream.kafka.watchdog import let_go
from daemon.stream.ports import Record, TopicPartition

CLOSE_S = 10.0
FETCH_WAIT_MS = 100
DEAL_WAIT_S = 0.02
"""How often who has no partition yet looks whether there is one."""
MAX_PARTITION_BYTES = 4 << 20


class KafkaSource:
    """Reads ``topics`` for ``group_id``. One thread at a time.

    ``member`` True: the group deals the partitions out (``instance_id``: a lasting name there, static
    membership); False: all partitions, no membership. Nothing is connected before the first call; each call
    that finds no broker raises StreamUnavailable and the next one tries again. Positions are never reset by
    the client: what lies outside a partition is :class:`~daemon.errors.PositionLost` beyond its end, and the
    oldest record kept where retention has passed it (who counts offsets sees the gap).
    """

    def __init__(
        self, cfg: Kafka, topics: Sequence[str], group_id: str, *, member: bool = True, instance_id: str | None = None
    ) -> None:
        self._cfg, self._topics, self._group = cfg, list(topics), group_id
        self._member, self._instance = member, instance_id
        self._client: KafkaConsumer | None = None
        self._incarnations = Incarnations(cfg, self._topics)
        self._deals = Deals()
        self._named: set[Place] = set()
        self._seen_deal = 0
        self._heard = 0.0  # when the group last took a commit
        self._held = False

    def identities(self) -> Mapping[str, str]:
        return admin.identities(self._cfg, self._topics)

    def assignment(self) -> Sequence[TopicPartition]:
        client = self._open()
        with translated(self._subject):
            self._seen_deal = self._deals.number
            places = client.assignment()
            fresh = places - self._named
            if fresh:
                for place, first in client.beginning_offsets(list(fresh)).items():
                    client.seek(place, first)
                if not self._held:
                    client.resume(*fresh)
            self._named = set(places)
        return [TopicPartition(*place) for place in sorted(places)]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._open().seek(self._place(partition), offset)

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        client = self._open()
        try:
            with translated(self._subject):
                found = self._polled(client, max_records, timeout_s)
        except PositionLost as error:
            self._recover(error)
            return []
        try:
            self._incarnations.check(idle=not found)
        except Rebalanced:  # the client would take half a minute to see it
            self.close()
            raise
        if self._deals.number != self._seen_deal and self._named:
            self._named = set()
            raise Rebalanced(f"{self._subject}: the partitions of {', '.join(self._topics)} were dealt anew")
        if not found:
            self._look_for_another()
        return _records(found)

    def _polled(self, client: KafkaConsumer, max_records: int, timeout_s: float) -> Mapping[Place, Sequence[Any]]:
        """One poll of the client's; while no partition is named, one that ends soon after some were dealt."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            wait = left if self._named else min(left, DEAL_WAIT_S)
            found: Mapping[Place, Sequence[Any]] = client.poll(timeout_ms=int(wait * 1000), max_records=max_records)
            if found or wait == left or self._deals.number != self._seen_deal:
                return found

    def pause(self) -> None:
        self._held = True
        if self._client is not None:
            self._client.pause(*self._client.assignment())

    def resume(self) -> None:
        self._held = False
        if self._client is not None:
            self._client.resume(*(self._client.assignment() & self._named))

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        client = self._open()
        try:
            with translated(self._subject):
                client.commit(offsets(positions), timeout_ms=int(self._cfg.request_timeout_s * 1000))
        except Fenced as error:
            raise Fenced(
                f"{self._subject}: another process has taken the name {self._instance}; each needs a "
                f"stream.kafka.instance_id of its own ({error})"
            ) from error
        self._heard = time.monotonic()

    def committed(self, partition: TopicPartition) -> int | None:
        client = self._open()
        with translated(self._subject):
            found = client.committed(self._place(partition), timeout_ms=int(self._cfg.request_timeout_s * 1000))
        return None if found is None or found < 0 else int(found)

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        client, place = self._open(), self._place(partition)
        with translated(f"{partition.topic}[{partition.partition}]"):
            return int(client.beginning_offsets([place])[place]), int(client.end_offsets([place])[place])

    def group_metadata(self) -> Any:
        """What fences a former member's transaction (KIP-447)."""
        return self._open().group_metadata()

    def close(self) -> None:
        """Leaves the group. Returns within seconds, whatever the broker does."""
        client, self._client = self._client, None
        if client is not None:
            self._incarnations.close()
            let_go(CLOSE_S, "the consumer", lambda: client.close(autocommit=False, timeout_ms=CLOSE_S * 500))

    @property
    def _subject(self) -> str:
        return f"consumer group {self._group}"

    def _open(self) -> KafkaConsumer:
        if self._client is None:
            admin.ensure(self._cfg, self._topics)
            client = opened(
                self._cfg,
                KafkaConsumer,
                metrics_enabled=False,
                group_id=self._group,
                group_instance_id=self._instance if self._member else None,
                session_timeout_ms=int(self._cfg.session_timeout_s * 1000),
                heartbeat_interval_ms=int(self._cfg.session_timeout_s * 1000 / 5),
                isolation_level=self._cfg.isolation_level,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                fetch_max_wait_ms=FETCH_WAIT_MS,
                max_partition_fetch_bytes=MAX_PARTITION_BYTES,
                metadata_max_age_ms=30_000,
            )
            self._client = client
            try:
                with translated(self._subject):
                    self._begin(client)
            except StreamError:
                self.close()
                raise
        return self._client

    def _begin(self, client: KafkaConsumer) -> None:
        self._named = set()
        if self._member:
            self._deals.client = client
            client.subscribe(self._topics, listener=self._deals)
            self._partitions(client)
            return
        places = self._partitions(client)
        client.assign(places)
        self._deals.on_partitions_assigned_to(client, places)

    def _partitions(self, client: KafkaConsumer) -> list[Place]:
        """All that there are, asked of the brokers. Raises StreamUnavailable where none tells in time.

        A member that leads its group deals from what its client knows by then: without having asked it may know no
        partition, deal none, and (kafka-python 3.0.12, about one time in twenty) never deal anew.
        """
        deadline = time.monotonic() + self._cfg.request_timeout_s
        found = {topic: client.partitions_for_topic(topic) for topic in self._topics}
        while unknown := [topic for topic, numbers in found.items() if not numbers]:
            if time.monotonic() > deadline:
                raise StreamUnavailable(f"{self._subject}: no broker tells the partitions of {', '.join(unknown)}")
            time.sleep(0.02)
            found |= {topic: client.partitions_for_topic(topic) for topic in unknown}
        return [Place(topic, number) for topic, numbers in found.items() for number in sorted(numbers)]

    def _look_for_another(self) -> None:
        """Raises Fenced where another process has this one's name.

        kafka-python is told so at a heartbeat, stops sending these, and reads on: who has nothing to commit would never
        know. So an idle one commits now and then what is committed.
        """
        overdue = time.monotonic() - self._heard > self._cfg.session_timeout_s / 3
        if self._instance is None or not self._member or not self._named or not overdue:
            return
        place = TopicPartition(*min(self._named))
        at = self.committed(place)
        self.commit({place: self.bounds(place)[0] if at is None else at})

    def _place(self, partition: TopicPartition) -> Place:
        place = Place(*partition)
        if place not in self._open().assignment():
            raise StreamError(f"{partition.topic}[{partition.partition}]: not among the partitions that are read")
        return place

    def _recover(self, error: PositionLost) -> None:
        """After a fetch outside a partition. Raises PositionLost where the place lies beyond the end."""
        client = self._open()
        with translated(self._subject):
            for place in self._named:
                at = client.position(place)
                first, end = self.bounds(TopicPartition(*place))
                if at is not None and at > end:
                    raise PositionLost(
                        f"{place.topic}[{place.partition}]: ends at {end}, was read up to {at}"
                    ) from error
                if at is not None and at < first:
                    client.seek(place, first)


def offsets(positions: Mapping[TopicPartition, int]) -> dict[Place, OffsetAndMetadata]:
    """Next offsets as the client takes them."""
    return {Place(*partition): OffsetAndMetadata(offset, "", -1) for partition, offset in positions.items()}


def _records(found: Mapping[Place, Sequence[Any]]) -> list[Record]:
    """What a poll brought, partition by partition; a header's value that is missing is empty."""
    return [
        Record(
            place.topic,
            place.partition,
            raw.offset,
            raw.timestamp / 1000,
            raw.key,
            raw.value,
            tuple((name, value or b"") for name, value in raw.headers) if raw.headers else (),
        )
        for place, raws in found.items()
        for raw in raws
    ]
