"""Topics read whole, by a person's question: from the oldest record kept to the end seen at the start.

Nothing is committed. A log whose last offsets hold no records (compaction, transaction markers) never shows its
end: after ``idle_s`` without a record reading stops, and ``complete`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from daemon.errors import StreamUnavailable
from daemon.stream.ports import Record, Source, TopicPartition

AT_ONCE = 500
POLL_S = 0.5


class Whole:
    """``source`` must be nobody else's. Iterate as often as you like: each time the same records, but for those
    that retention took.

    Raises StreamUnavailable where no partition is assigned within ``assign_s``.
    """

    def __init__(self, source: Source, *, assign_s: float = 30.0, idle_s: float = 10.0) -> None:
        self._source, self._idle_s = source, idle_s
        self._ends = {partition: source.bounds(partition)[1] for partition in _assigned(source, assign_s)}
        self.complete = True
        """Whether the last iteration came to the end of every partition."""

    @property
    def ends(self) -> Mapping[TopicPartition, int]:
        return self._ends

    def __iter__(self) -> Iterator[Record]:
        left: dict[TopicPartition, int] = {}
        for partition, end in self._ends.items():
            first, _ = self._source.bounds(partition)
            self._source.seek(partition, first)
            if first < end:
                left[partition] = end
        self.complete = not left
        seen = time.monotonic()
        while left:
            records = self._source.poll(AT_ONCE, POLL_S)
            now = time.monotonic()
            if records:
                seen = now
            elif now - seen > self._idle_s:
                return
            for record in records:
                partition = TopicPartition(record.topic, record.partition)
                if record.offset >= self._ends.get(partition, 0):
                    left.pop(partition, None)
                    continue
                if record.offset == self._ends[partition] - 1:
                    left.pop(partition, None)
                yield record
        self.complete = True

    def close(self) -> None:
        self._source.close()


def _assigned(source: Source, assign_s: float) -> list[TopicPartition]:
    deadline = time.monotonic() + assign_s
    while not (partitions := list(source.assignment())):
        if time.monotonic() > deadline:
            raise StreamUnavailable(f"no partition was assigned within {assign_s:g} s: does the topic exist?")
        source.poll(1, POLL_S)
    return partitions
