"""The kinds of stream there are. Each makes the ends of one and the same stream, by what they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from daemon.config.stream import Stream
from daemon.stream.delivery import AtLeastOnce
from daemon.stream.embedded import EmbeddedSink, EmbeddedSource
from daemon.stream.ports import Delivery, Sink, Source


class Ends(Protocol):
    """Makes ends; nothing is connected before one is used."""

    def member(self, topics: Sequence[str], role: str) -> Source:
        """Reads for a role, as a member of its consumer group: ``ingest`` has every partition, the processes of
        another role share them."""

    def reader(self, topics: Sequence[str]) -> Source:
        """Reads every partition without being a member: for looking, not for working."""

    def sink(self) -> Sink: ...

    def delivery(self, source: Source, role: str) -> Delivery:
        """How answers to what ``source`` brings go out."""


class EmbeddedEnds:
    def __init__(self, stream: Stream, path: Path) -> None:
        self._stream, self._path = stream, path

    def member(self, topics: Sequence[str], role: str) -> Source:
        return self._source(topics, group_of(self._stream, role))

    def reader(self, topics: Sequence[str]) -> Source:
        return self._source(topics, f"{self._stream.kafka.group_id}.reader")

    def sink(self) -> Sink:
        return EmbeddedSink(self._path, self._stream.embedded)

    def delivery(self, source: Source, role: str) -> Delivery:
        return AtLeastOnce(source, self.sink())

    def _source(self, topics: Sequence[str], group: str) -> Source:
        return EmbeddedSource(self._path, topics, group, self._stream.embedded)


class KafkaEnds:
    """kafka-python is imported here, late: it takes a third of a second."""

    def __init__(self, stream: Stream, path: Path) -> None:
        self._stream, self._cfg = stream, stream.kafka

    def member(self, topics: Sequence[str], role: str) -> Source:
        from daemon.stream.kafka import KafkaSource

        name = f"{self._cfg.instance_id}.{role}" if self._cfg.instance_id else None
        if role == "ingest":
            name = f"{self._cfg.group_id}.ingest"  # the one there is
        return KafkaSource(self._cfg, topics, group_of(self._stream, role), instance_id=name)

    def reader(self, topics: Sequence[str]) -> Source:
        from daemon.stream.kafka import KafkaSource

        return KafkaSource(self._cfg, topics, f"{self._cfg.group_id}.reader", member=False)

    def sink(self) -> Sink:
        from daemon.stream.kafka import KafkaSink

        return KafkaSink(self._cfg)

    def delivery(self, source: Source, role: str) -> Delivery:
        if self._cfg.delivery == "at_least_once":
            return AtLeastOnce(source, self.sink())
        from daemon.stream.kafka import KafkaSource, Transactions

        assert isinstance(source, KafkaSource)
        return Transactions(self._cfg, source, role)


def group_of(stream: Stream, role: str) -> str:
    """The consumer group of a role."""
    return stream.kafka.group_id if role == "ingest" else f"{stream.kafka.group_id}.{role}"


ENDS: Mapping[str, Callable[[Stream, Path], Ends]] = {"embedded": EmbeddedEnds, "kafka": KafkaEnds}
"""``stream.kind`` -> (its configuration, the embedded stream's file) -> ends."""
