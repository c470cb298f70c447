"""How a consumer group deals its partitions out to a member."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka import TopicPartition as Place


class Deals(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts how often partitions were dealt; runs on the client's own thread.

    New partitions are paused and given a position at once, so that none yields a record from a place that nobody
    chose, and none is looked up in the group.
    """

    def __init__(self) -> None:
        self.client: KafkaConsumer | None = None
        self.number = 0
        self._lock = threading.Lock()

    def on_partitions_revoked(self, revoked: set[Place]) -> None:
        return

    def on_partitions_assigned(self, assigned: set[Place]) -> None:
        assert self.client is not None
        self.on_partitions_assigned_to(self.client, list(assigned))

    def on_partitions_assigned_to(self, client: KafkaConsumer, places: Sequence[Place]) -> None:
        for place in places:
            client.seek(place, 0)
        client.pause(*places)
        with self._lock:
            self.number += 1
