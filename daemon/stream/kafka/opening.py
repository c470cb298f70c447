"""Making a client of kafka-python so that one that could not connect leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kafka.net.compat import KafkaNetClient

from daemon.config.kafka import Kafka
from daemon.stream.kafka.reaching import reaching
from daemon.stream.kafka.settings import common
from daemon.stream.kafka.watchdog import let_go

T = TypeVar("T")
CLOSE_S = 5.0


def opened(cfg: Kafka, make: Callable[..., T], **settings: Any) -> T:
    """``make(...)``, connected. Raises StreamUnavailable, StreamDenied (with the cause), StreamError.

    A constructor of kafka-python's that raises keeps its thread and sockets: their owner is remembered here and closed.
    """
    networks: list[Any] = []

    def network(**options: Any) -> Any:
        networks.append(KafkaNetClient(**options))
        return networks[-1]

    with reaching(cfg):
        try:
            return make(**common(cfg), **settings, kafka_client=network)
        except BaseException:
            for one in networks:
                let_go(CLOSE_S, "a connection", one.close)
            raise
