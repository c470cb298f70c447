"""Whether topics are still the ones that reading began with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient

from daemon.config.kafka import Kafka
from daemon.errors import Rebalanced, StreamError
from daemon.stream.kafka import topics as admin
from daemon.stream.kafka.errors import translated
from daemon.stream.kafka.opening import opened
from daemon.stream.kafka.watchdog import let_go, within

EVERY_S, IDLE_EVERY_S = 0.1, 1.0
"""With records in hand, and without. Nobody deletes a topic, makes it again and fills it up to where reading was in
less than a tenth of a second."""
CLOSE_S = 2.0


class Incarnations:
    """Consumers of kafka-python fetch by a topic's name: they read on, at the same offset, in a topic that was deleted
    and made again under it, and say nothing. So the topics' ids are asked for, now and then, on a connection that
    lasts."""

    def __init__(self, cfg: Kafka, topics: Sequence[str]) -> None:
        self._cfg, self._topics = cfg, topics
        self._client: KafkaAdminClient | None = None
        self._known: Mapping[str, str] = {}
        self._asked = 0.0

    def check(self, *, idle: bool) -> None:
        """After a poll, before its records are used; ``idle``: there are none.

        Raises Rebalanced where a topic is another one than at the last check; TopicMissing, StreamDenied,
        StreamUnavailable as asking does.
        """
        now = time.monotonic()
        if now - self._asked < (IDLE_EVERY_S if idle else EVERY_S):
            return
        try:
            client = self._client = self._client or opened(self._cfg, KafkaAdminClient)
            with translated(f"stream.kafka.bootstrap_servers = {self._cfg.bootstrap_servers}"):
                found = within(
                    self._cfg.request_timeout_s, "asking for topics", lambda: admin.ids(client, self._topics)
                )
        except StreamError:
            self.close()
            raise
        self._asked = now
        known, self._known = self._known, found
        for topic, identity in known.items():
            if found[topic] != identity:
                raise Rebalanced(f"{topic}: was deleted and made again")

    def close(self) -> None:
        """What is known stays: the next check connects anew."""
        client, self._client = self._client, None
        if client is not None:
            let_go(CLOSE_S, "the admin client", client.close)
