"""Kafka's writing end: idempotent, acknowledged by all replicas in sync, bounded in what waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer

from daemon.config.kafka import Kafka
from daemon.errors import RecordRefused, StreamError, StreamUnavailable
from daemon.stream.kafka import topics as admin
from daemon.stream.kafka.errors import translated
from daemon.stream.kafka.opening import opened
from daemon.stream.kafka.watchdog import let_go
from daemon.stream.ports import OutRecord

CLOSE_S = 10.0
AGAIN_S = 0.5
"""After a connection that failed, none is tried for so long."""
LINGER_MS = 2
"""Records wait so long for others to share a request."""
Sent = tuple[OutRecord, Any]


class KafkaSink:
    """Thread-safe. Connects at the first record; a topic that is missing or denied is told at its first one.

    A refused record ends a producer of kafka-python's that is idempotent, and what it has not sent yet with it: then
    each of those is sent again by a new one, alone, to tell which was meant.

    A record with neither key nor value gets an empty value (kafka-python sends none such). Beyond
    ``max_in_flight_bytes`` :meth:`send` waits, and raises StreamUnavailable after ``request_timeout_s``.
    """

    def __init__(self, cfg: Kafka, **settings: Any) -> None:
        """``settings``: further ones of the client."""
        self._cfg, self._settings = cfg, settings
        self._known: set[str] = set()
        self._opening = threading.Lock()
        self._client: KafkaProducer | None = None
        self._failure: tuple[float, StreamUnavailable | None] = (0.0, None)
        self._mine = threading.local()
        self._room = _Room(cfg.max_in_flight_bytes)

    def send(self, records: Sequence[OutRecord]) -> None:
        client = self.client()
        sent: list[Sent] = self._mine.__dict__.setdefault("sent", [])
        for record in records:
            size = _size(record)
            self._room.take(size, self._cfg.request_timeout_s)
            try:
                future = self._send(client, record)
            except BaseException:
                self._room.give(size)
                raise
            future.add_both(lambda _, size=size: self._room.give(size))
            sent.append((record, future))

    def flush(self, timeout_s: float) -> None:
        sent: list[Sent] = self._mine.__dict__.pop("sent", [])
        deadline = time.monotonic() + timeout_s
        suspects: list[OutRecord] = []
        failed: list[StreamError] = []
        for record, future in sent:
            try:
                self._acknowledged(record, future, deadline)
            except RecordRefused:
                suspects.append(record)
            except StreamError as error:
                failed.append(error)
        if failed:
            self._known.clear()
            raise next((error for error in failed if not isinstance(error, StreamUnavailable)), failed[0])
        refused: list[OutRecord] = []
        for record in suspects:
            self.discard()
            try:
                self._acknowledged(record, self._send(self.client(), record), deadline)
            except RecordRefused as error:
                refused.append(record)
                why = error
        if refused:
            self.discard()
            raise RecordRefused(str(why), refused)

    def close(self) -> None:
        """Sends what was not flushed yet; returns within seconds, whatever the broker does."""
        client, self._client = self._client, None
        if client is not None:
            let_go(CLOSE_S, "the producer", lambda: client.close(timeout=CLOSE_S / 2))

    def client(self) -> KafkaProducer:
        """The producer, connected."""
        with self._opening:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> KafkaProducer:
        """Those who waited while another one found no broker are told the same: in turn, each would wait as long."""
        failed_at, failure = self._failure
        if failure is not None and time.monotonic() - failed_at < AGAIN_S:
            raise type(failure)(str(failure)) from failure
        try:
            return opened(self._cfg, KafkaProducer, **self._options())
        except StreamUnavailable as error:
            self._failure = time.monotonic(), error
            raise

    def _options(self) -> dict[str, Any]:
        timeout_ms = int(self._cfg.request_timeout_s * 1000)
        return {
            "metrics_enabled": False,
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": LINGER_MS,
            "batch_size": 256 << 10,
            "max_request_size": 64 << 20,
            "delivery_timeout_ms": 2 * timeout_ms,
            "max_block_ms": timeout_ms,
            "compression_type": None if self._cfg.compression == "none" else self._cfg.compression,
            "allow_auto_create_topics": False,
            **self._settings,
        }

    def _acknowledged(self, record: OutRecord, future: Any, deadline: float) -> None:
        with translated(record.topic):
            future.get(max(0.0, deadline - time.monotonic()))

    def discard(self) -> None:
        """Lose what is not acknowledged, and connect anew at the next record."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            let_go(CLOSE_S, "the producer", lambda: client.close(timeout=1))

    def _send(self, client: KafkaProducer, record: OutRecord) -> Any:
        if record.topic not in self._known:
            admin.ensure(self._cfg, [record.topic])  # says at once what the client only says after a long wait
            self._known.add(record.topic)
        value = b"" if record.key is None and record.value is None else record.value
        timestamp = None if record.timestamp is None else round(record.timestamp * 1000)
        with translated(record.topic):
            return client.send(
                record.topic, value, key=record.key, headers=list(record.headers), timestamp_ms=timestamp
            )


class _Room:
    """Bytes that may wait for an acknowledgement."""

    def __init__(self, size: int) -> None:
        self._size, self._free = size, size
        self._changed = threading.Condition()

    def take(self, size: int, timeout_s: float) -> None:
        """Raises StreamUnavailable where there is no room for so long. A record larger than all of it goes alone."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._free >= min(size, self._size), timeout_s):
                waiting = self._size - self._free
                raise StreamUnavailable(f"{waiting} bytes wait for the brokers (stream.kafka.max_in_flight_bytes)")
            self._free -= size

    def give(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()


def _size(record: OutRecord) -> int:
    """Bytes that a record takes, about."""
    headers = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + 128
