"""How far the buffer is behind the stream, for the trigger and for the metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from daemon.stream.ports import Source


class Lag:
    """``positions`` gives the next offset to be stored, by (topic, partition); what has none counts whole.

    Thread-safe; ``source`` is only asked for bounds.
    """

    def __init__(self, source: Source, positions: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        self._source, self._positions = source, positions
        self._lock = threading.Lock()

    def by_partition(self) -> Sequence[tuple[str, int, int]]:
        """(topic, partition, records not stored yet). Raises StreamUnavailable, StoreError."""
        with self._lock:
            stored = self._positions()
            lags = []
            for place in self._source.assignment():
                first, end = self._source.bounds(place)
                lags.append((place.topic, place.partition, max(0, end - stored.get(place, first))))
            return lags

    def records(self) -> int:
        """Over all partitions."""
        return sum(records for _, _, records in self.by_partition())
