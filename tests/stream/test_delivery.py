"""Answers at least once: acknowledged first, committed then."""

from __future__ import annotations

import pytest

from daemon.errors import StreamUnavailable
from daemon.stream.delivery import AtLeastOnce
from daemon.stream.ports import OutRecord, TopicPartition
from daemon.testing import MemoryBroker, MemorySink, MemorySource

PLACE = TopicPartition("requests", 0)


class Closing(MemorySink):
    closed = False

    def close(self) -> None:
        super().close()
        self.closed = True


def test_given_a_stream_that_goes_when_answers_are_delivered_then_nothing_is_committed() -> None:
    # Given answers, and a broker that is down
    broker = MemoryBroker()
    source = MemorySource(broker, ["requests"], "g")
    delivery = AtLeastOnce(source, MemorySink(broker))
    broker.down = True
    # When they are delivered, Then it is said and the requests stay unanswered
    with pytest.raises(StreamUnavailable):
        delivery.deliver([OutRecord("answers", b"1")], {PLACE: 1})
    assert source.committed(PLACE) is None
    # And once it is back both count
    broker.down = False
    delivery.deliver([OutRecord("answers", b"1")], {PLACE: 1})
    assert [record.value for record in broker.records("answers")] == [b"1"]
    assert source.committed(PLACE) == 1


def test_it_closes_the_sink_that_is_its_own() -> None:
    broker = MemoryBroker()
    sink = Closing(broker)
    AtLeastOnce(MemorySource(broker, ["requests"], "g"), sink).close()
    assert sink.closed
