"""The two ends of a stream. The embedded stream, Kafka and the in-memory fakes implement them.

Both ends speak of records (bytes with a place); neither knows what an event means.
``tests/stream/contract.py`` is the suite that every implementation passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class Record(NamedTuple):
    """A record as read. ``timestamp`` is in seconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record to be written. The partition follows from the key, as in Kafka (no key: any)."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: float | None = None


class Source(Protocol):
    """Reads the topics it was made for. One thread at a time.

    A partition yields records once :meth:`assignment` has named it: from its oldest one, or from where
    :meth:`seek` put it since.
    """

    def identities(self) -> Mapping[str, str]:
        """topic -> what identifies this incarnation of it (cluster and topic id)."""

    def assignment(self) -> Sequence[TopicPartition]:
        """The partitions this source reads now. May change between polls."""

    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Records in offset order per partition; empty after ``timeout_s`` without any.

        Raises StreamUnavailable when the stream cannot be reached; of these, StreamDenied when reading is not
        permitted, TopicMissing, Rebalanced when partitions that :meth:`assignment` named were dealt anew (all
        places are void: ask for the assignment again and seek), PositionLost when a place lies beyond the end.
        Raises Fenced when another process took this one's place in the group.
        """

    def pause(self) -> None:
        """From now on polls bring nothing, wait their time out, and keep the source in its group; partitions that
        are assigned meanwhile are paused too. Places stay as they are; :meth:`seek` still moves them."""

    def resume(self) -> None:
        """Polls bring records again, from where they stood. Both may be called twice."""

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Store the group's next offsets in the stream."""

    def committed(self, partition: TopicPartition) -> int | None:
        """The group's stored next offset."""

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """(first offset kept, next offset to be written)."""

    def close(self) -> None: ...


class Sink(Protocol):
    """Writes records. Thread-safe."""

    def send(self, records: Sequence[OutRecord]) -> None:
        """Hand over records. They are durable only after :meth:`flush` returned."""

    def flush(self, timeout_s: float) -> None:
        """Return once everything sent is acknowledged.

        Raises StreamUnavailable where it is not known of some records (send them again), StreamDenied (one of
        these) where their topic may not be written, RecordRefused once all but the refused ones are
        acknowledged. Where several hold, StreamUnavailable goes first.
        """

    def close(self) -> None: ...


class Delivery(Protocol):
    """Answers to what a source brought. One thread at a time, the source's."""

    def prepare(self) -> None:
        """End what a former process or an error left, before places are looked up. Raises StreamUnavailable."""

    def deliver(self, answers: Sequence[OutRecord], positions: Mapping[TopicPartition, int]) -> None:
        """Write the answers, then (or with them) the group's next offsets.

        Raises StreamUnavailable where it is not known whether they count, Rebalanced where the group dealt the
        partitions anew: either way prepare, look the places up, and read again from there. Raises Fenced where
        another process took this one's name.
        """

    def close(self) -> None: ...
