"""How far the buffer is behind the stream."""

from __future__ import annotations

import threading
import time

import pytest

from daemon.errors import StreamUnavailable
from daemon.roles.lag import Lag
from daemon.stream.ports import OutRecord, TopicPartition
from daemon.testing import MemoryBroker, MemorySink, MemorySource


def test_given_stored_positions_when_asked_then_the_rest_of_each_partition_is_told() -> None:
    # Given two topics of five and two records, of which three of the first are stored
    broker = MemoryBroker()
    source, sink = MemorySource(broker, ["a", "b"], "lag"), MemorySink(broker)
    sink.send([OutRecord("a", b"x", key=b"k")] * 5 + [OutRecord("b", b"x", key=b"k")] * 2)
    sink.flush(1)
    stored = {("a", 0): 3}
    lag = Lag(source, lambda: stored)
    assert sorted(lag.by_partition()) == [("a", 0, 2), ("b", 0, 2)]
    # When all of it is stored, then nothing is left
    stored.update({("a", 0): 5, ("b", 0): 2})
    assert lag.records() == 0
    # And what retention took counts no more where nothing was stored yet
    stored.clear()
    broker.trim(TopicPartition("a", 0), 4)
    assert lag.records() == 1 + 2


def test_given_a_stream_that_does_not_answer_when_asked_then_the_last_measure_is_told_soon() -> None:
    # Given a lag that was measured once, of a stream that hangs from then on
    broker, hanging = MemoryBroker(), threading.Event()
    source = Hanging(broker, ["a"], "lag")
    lag = Lag(source, dict, patience_s=0.05)
    broker.append([OutRecord("a", b"x")])
    assert lag.records() == 1
    source.hanging = hanging
    # When it is asked again, Then nobody waits for the stream
    broker.append([OutRecord("a", b"x")])
    began = time.monotonic()
    assert lag.records() == 1
    assert time.monotonic() - began < 1
    # And once it answers, the new measure is there
    hanging.set()
    deadline = time.monotonic() + 5
    while lag.records() == 1 and time.monotonic() < deadline:
        pass
    assert lag.records() == 2


def test_given_a_stream_that_was_never_reached_when_asked_then_that_is_said() -> None:
    source = Hanging(MemoryBroker(), ["a"], "lag")
    source.error = StreamUnavailable("no broker at 127.0.0.1:1")
    lag = Lag(source, dict)
    with pytest.raises(StreamUnavailable, match="no broker at"):
        lag.records()


class Hanging(MemorySource):
    hanging: threading.Event | None = None
    error: StreamUnavailable | None = None

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        if self.error is not None:
            raise self.error
        if self.hanging is not None:
            self.hanging.wait(10)
        return super().bounds(partition)
