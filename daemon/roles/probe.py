"""The round-trip probe: a marked record into the first topic that is answered, timed where it is stored and answered.

A probe is no event: it is not stored, not dead-lettered, and its answer is not written. Its time stands in a header,
so that who reads it needs to know nothing else; clocks of two machines differ by what they differ.
"""

from __future__ import annotations

import math

import structlog

from daemon.clock import Clock
from daemon.errors import RecordRefused, StoreFull, StreamUnavailable
from daemon.events import Event, Input
from daemon.stream.encoding import encode_event
from daemon.stream.own import OWN
from daemon.stream.ports import OutRecord, Record, Sink

log = structlog.get_logger(__name__)

PROBE = "retaind.probe"
"""Header: when the probe was produced, in seconds since the epoch."""
FLUSH_S = 5.0


def probe_time(record: Record) -> float | None:
    """When a probe was produced; None for any other record."""
    for name, value in record.headers:
        if name == PROBE:
            try:
                produced = float(value)
            except ValueError:
                return None
            return produced if math.isfinite(produced) else None
    return None


class Probe:
    """Produces one every ``interval_s`` (0: never). ``topic`` None: nothing is answered, so nothing is probed."""

    def __init__(self, sink: Sink, clock: Clock, topic: str | None, task: str, interval_s: float) -> None:
        self._sink, self._clock, self._topic, self._task = sink, clock, topic, task
        self._interval_s = interval_s if topic is not None else 0.0
        self._next = clock.monotonic()
        self._failed = False

    def step(self) -> None:
        """Where it is time: produce one and wait for its acknowledgement. Raises nothing."""
        now = self._clock.monotonic()
        if not self._interval_s or self._topic is None or now < self._next:
            return
        self._next = now + self._interval_s
        produced = self._clock.now()
        event = Event(PROBE, self._task, time=produced, input=Input("how long does an answer take"))
        headers = ((PROBE, repr(produced).encode()), OWN)
        try:
            self._sink.send([OutRecord(self._topic, encode_event(event), PROBE.encode(), headers, produced)])
            self._sink.flush(FLUSH_S)
        except (StreamUnavailable, StoreFull, RecordRefused) as error:
            if not self._failed:
                log.warning("probe_failed", topic=self._topic, error=str(error))
            self._failed = True
            return
        self._failed = False
