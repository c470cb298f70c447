"""A topic read whole: all of it, once, and no further."""

from __future__ import annotations

import pytest

from daemon.errors import StreamUnavailable
from daemon.stream.ports import OutRecord, TopicPartition
from daemon.stream.whole import Whole
from daemon.testing import MemoryBroker, MemorySource


def write(broker: MemoryBroker, *numbers: int) -> None:
    broker.append([OutRecord("t", b"%d" % number, b"k%d" % number) for number in numbers])


def values(whole: Whole) -> list[int]:
    return sorted(int(record.value or b"") for record in whole)


def test_it_ends_where_the_topic_ended_when_it_was_asked_and_can_be_read_again() -> None:
    # Given three partitions with records, and one that comes while it is read
    broker = MemoryBroker(3)
    write(broker, *range(50))
    whole = Whole(MemorySource(broker, ["t"], "g"))
    write(broker, *range(50, 90))
    # Then both readings bring what was there, and nothing is committed
    assert values(whole) == values(whole) == list(range(50))
    assert whole.complete
    assert broker.committed("g", TopicPartition("t", 0)) is None


def test_an_empty_topic_and_one_that_retention_emptied_end_at_once() -> None:
    broker = MemoryBroker()
    assert values(Whole(MemorySource(broker, ["t"], "g"))) == []
    write(broker, 1, 2, 3)
    broker.trim(TopicPartition("t", 0), 2)
    assert values(Whole(MemorySource(broker, ["t"], "g"))) == [3]
    broker.trim(TopicPartition("t", 0), 3)
    whole = Whole(MemorySource(broker, ["t"], "g"))
    assert values(whole) == []
    assert whole.complete


def test_an_end_that_no_record_reaches_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log whose last offset holds no record, as after a transaction
    broker = MemoryBroker()
    write(broker, 1)
    source = MemorySource(broker, ["t"], "g")
    monkeypatch.setattr(source, "bounds", lambda partition: (0, 2))
    whole = Whole(source, idle_s=0.1)
    assert values(whole) == [1]
    assert not whole.complete


def test_no_partition_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource(MemoryBroker(), ["t"], "g")
    monkeypatch.setattr(source, "assignment", list)
    with pytest.raises(StreamUnavailable, match="does the topic exist"):
        Whole(source, assign_s=0.1)
