"""How far the buffer is behind the stream."""

from __future__ import annotations

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
