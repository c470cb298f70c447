"""The ingest role in this process, between topics of a real broker and a real buffer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.kafka import Kafka
from daemon.config.models import BufferConfig
from daemon.config.task import Labels, TaskConfig
from daemon.errors import StreamUnavailable
from daemon.roles.ingest import IngestRole
from daemon.roles.troubles import Troubles, read_troubles
from daemon.stream.decoders import get_decoder
from daemon.stream.kafka import KafkaSink, KafkaSource
from daemon.tasks.schema import get_schema
from tests.kafka.topics import Stored, Topics
from tests.roles.test_ingest import Counting


class KafkaPlace:
    """``topic`` in, ``letters`` out. ``cfg``: how the daemon gets to the broker."""

    def __init__(
        self, root: Path, cfg: Kafka, topics: Topics, topic: str, letters: str, *, max_record_bytes: int = 20_000
    ) -> None:
        self.root, self.cfg, self.topics, self.topic, self.letters = root, cfg, topics, topic, letters
        self.observer, self._max_record_bytes = Counting(), max_record_bytes
        self.start()

    def start(self) -> None:
        """A new process: nothing but the buffer's file and the brokers is kept."""
        self._source = KafkaSource(self.cfg, [self.topic], self.topic, instance_id=f"{self.topic}.ingest")
        self.buffer = SqliteBufferWriter(
            self.root / "b.sqlite", {"support": TaskConfig()}, BufferConfig(), SystemClock()
        )
        self.role = IngestRole(
            self._source,
            KafkaSink(self.cfg),
            self.buffer,
            decoders={self.topic: get_decoder(default_task="support")},
            schemas={"support": get_schema("sequence")},
            clock=SystemClock(),
            observer=self.observer,
            dead_letter_topic=self.letters,
            max_record_bytes=self._max_record_bytes,
            passed=dict,
            labels={"support": Labels(max_labels=40)},
            troubles=Troubles(SystemClock(), self.root / "ingest.json"),
        )

    def restart(self) -> None:
        self.role.close()
        self.start()

    def write(self, *ids: str, **more: str) -> None:
        """Events, all with one key."""
        base = {"time": "2026-01-01T00:00:00Z", "text": "hello", "label": "x"}
        lines = [orjson.dumps({**base, "text": f"hello {name}", "id": name, **more}) for name in ids]
        self.topics.produce(self.topic, lines, keys=[b"k"] * len(lines))

    def settle(self, timeout_s: float = 20) -> None:
        """Until all that is in the topic is stored and no letter waits."""
        self.until(lambda: self.stored() == self.ends() and self.buffer.outbox_size().letters == 0, timeout_s)

    def until(self, done: Callable[[], bool], timeout_s: float = 20) -> None:
        """Step, as :meth:`IngestRole.run` does, until ``done``. Raises what run would raise."""
        stop, over = threading.Event(), threading.Event()

        def look() -> None:
            deadline = time.monotonic() + timeout_s
            while not over.is_set() and time.monotonic() < deadline and not done():
                time.sleep(0.05)
            stop.set()

        watcher, close = threading.Thread(target=look), self.role.close
        self.role.close = lambda: None  # type: ignore[method-assign] # it goes on in a moment
        watcher.start()
        try:
            self.role.run(stop)
        finally:
            over.set()
            watcher.join()
            self.role.close = close  # type: ignore[method-assign]
        assert done(), f"not within {timeout_s} s; troubles: {self.troubles()}"

    def stored(self) -> Mapping[int, int]:
        """partition -> next offset."""
        reader = SqliteBufferReader(self.root / "b.sqlite")
        try:
            return {partition: end for (_, partition), end in reader.positions().items()}
        finally:
            reader.close()

    def ends(self) -> Mapping[int, int]:
        return {number: end for number, (_, end) in self.topics.bounds(self.topic).items() if end}

    def kept(self) -> Mapping[str, Any]:
        """id -> event."""
        reader = SqliteBufferReader(self.root / "b.sqlite")
        try:
            return {event.id: event for event in reader.export()}
        finally:
            reader.close()

    def dead(self) -> Sequence[Stored]:
        return self.topics.read(self.letters)

    def troubles(self) -> Mapping[str, str]:
        return {name: str(found["message"]) for name, found in read_troubles(self.root / "ingest.json").items()}

    def close(self) -> None:
        with suppress(StreamUnavailable):
            self.role.close()
