"""Where reading goes on: the buffer's positions against what the stream still has."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from daemon.buffer.ports import BufferWriter
from daemon.errors import TopicRecreated
from daemon.observe import Observer
from daemon.stream.ports import Record, Source, TopicPartition

log = structlog.get_logger(__name__)


class Placing:
    """Positions of the partitions read now.

    ``stored`` is what the buffer has (absent: nothing yet), ``next`` what is to be read next. They differ
    only where nothing was stored yet, or where records are missing.
    """

    def __init__(self, source: Source, buffer: BufferWriter, observer: Observer) -> None:
        self._source, self._buffer, self._observer = source, buffer, observer
        self.stored: dict[TopicPartition, int] = {}
        self.next: dict[TopicPartition, int] = {}
        self.new_identities: dict[str, str] = {}

    def refresh(self) -> bool:
        """Seek in partitions that are newly assigned, forget those that are gone; whether any were.

        Raises TopicRecreated where a topic is another incarnation than the one the positions are of.
        """
        assigned = set(self._source.assignment())
        gone = self.next.keys() - assigned
        for partition in gone:
            del self.next[partition]
            self.stored.pop(partition, None)
        fresh = sorted(assigned - self.next.keys())
        if fresh:
            self._place_all(fresh)
        return bool(gone)

    def _place_all(self, fresh: Sequence[TopicPartition]) -> None:
        self._check({partition.topic for partition in fresh})
        positions = self._buffer.positions()
        for partition in fresh:
            self._place(partition, positions.get(partition))

    def rewind(self) -> None:
        """Forget all places: the next refresh seeks to the stored positions again."""
        self.next.clear()
        self.stored.clear()

    def unseen(self, records: Sequence[Record]) -> tuple[list[Record], dict[TopicPartition, int]]:
        """Those that do not lie below what was read, and how far each partition of theirs is read with them.

        Records that are missing before one are an alarm. Raises StreamUnavailable: rewind.
        """
        kept: list[Record] = []
        ends: dict[TopicPartition, int] = {}
        partition, expected = None, -1
        for record in records:
            if partition is None or record.partition != partition.partition or record.topic != partition.topic:
                partition = TopicPartition(record.topic, record.partition)
                expected = ends.get(partition, self.next[partition])
            offset = record.offset
            if offset < expected:
                continue
            if offset > expected:
                self._look_for_gap(partition, expected, offset)
            kept.append(record)
            ends[partition] = expected = offset + 1
        self.next.update(ends)
        return kept, ends

    def _look_for_gap(self, partition: TopicPartition, expected: int, found: int) -> None:
        """Transactions' markers and compaction leave gaps too: what is missing is what lies below the first kept."""
        first, _ = self._source.bounds(partition)
        if first > expected:
            self._gap(partition, expected, min(first, found))

    def _check(self, topics: set[str]) -> None:
        stored, found = self._buffer.identities(), self._source.identities()
        for topic in sorted(topics):
            if topic not in stored:
                self.new_identities[topic] = found[topic]
            elif stored[topic] != found[topic]:
                raise TopicRecreated(
                    f"{topic}: is {found[topic]}, the positions in the buffer belong to {stored[topic]}: it was "
                    "deleted and made again, or the cluster is another; point stream back at the old one, or start "
                    "with a new state_dir"
                )

    def _place(self, partition: TopicPartition, stored: int | None) -> None:
        first, end = self._source.bounds(partition)
        start = first if stored is None else stored
        if stored is not None:
            self.stored[partition] = stored
        if start < first:
            self._gap(partition, start, first)
            start = first
        elif start > end:
            place = {"topic": partition.topic, "partition": partition.partition}
            log.error("position_beyond_end", stored=start, end=end, **place)
            self._observer.count("ingest_lost_records_total", start - end, topic=partition.topic)
            start = end
        self._source.seek(partition, start)
        self.next[partition] = start
        log.info("placed", topic=partition.topic, partition=partition.partition, offset=start)

    def _gap(self, partition: TopicPartition, expected: int, first: int) -> None:
        place = {"topic": partition.topic, "partition": partition.partition}
        log.error("records_lost", expected=expected, first_kept=first, lost=first - expected, **place)
        self._observer.count("ingest_lost_records_total", first - expected, topic=partition.topic)
