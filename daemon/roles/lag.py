"""How far the buffer is behind the stream, for the trigger and for the metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from daemon.errors import RetaindError, StreamUnavailable
from daemon.stream.ports import Source

PATIENCE_S = 0.5
PartitionLag = tuple[str, int, int]


class Lag:
    """``positions`` gives the next offset to be stored, by (topic, partition); what has none counts whole.

    Thread-safe; ``source`` is only asked for bounds, by a thread of its own: who asks for the lag waits at most
    ``patience_s`` for a new measure and takes the last one otherwise, so that a stream that cannot be reached
    holds nobody up.
    """

    def __init__(
        self,
        source: Source,
        positions: Callable[[], Mapping[tuple[str, int], int]],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._source, self._positions, self._patience_s = source, positions, patience_s
        self._changed = threading.Condition()
        self._wanted = self._measured = 0
        self._last: Sequence[PartitionLag] | None = None
        self._error: RetaindError | None = None
        self._thread: threading.Thread | None = None

    def by_partition(self) -> Sequence[PartitionLag]:
        """(topic, partition, records not stored yet). Raises StreamUnavailable, StoreError where nothing was
        measured yet."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
                self._thread.start()
            if self._wanted == self._measured:
                self._wanted += 1
                self._changed.notify_all()
            goal = self._wanted
            self._changed.wait_for(lambda: self._measured >= goal, self._patience_s)
            if self._last is not None:
                return self._last
            raise self._error or StreamUnavailable("the stream's ends are not known yet")

    def records(self) -> int:
        """Over all partitions."""
        return sum(records for _, _, records in self.by_partition())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted > self._measured)
            found, failed = None, None
            try:
                found = self._measure()
            except RetaindError as error:
                failed = error
            with self._changed:
                self._last, self._error = found if found is not None else self._last, failed
                self._measured = self._wanted
                self._changed.notify_all()

    def _measure(self) -> Sequence[PartitionLag]:
        stored = self._positions()
        lags = []
        for place in self._source.assignment():
            first, end = self._source.bounds(place)
            lags.append((place.topic, place.partition, max(0, end - stored.get(place, first))))
        return lags
