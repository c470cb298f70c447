"""What the reading end does beyond the contract: groups, places, topics that are missing or another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from daemon.config.kafka import Kafka
from daemon.errors import Fenced, PositionLost, Rebalanced, StreamUnavailable, TopicMissing
from daemon.stream.kafka import KafkaSource
from daemon.stream.ports import Record, TopicPartition
from tests.kafka.fixtures import MakeTopic
from tests.kafka.ports import free_port
from tests.kafka.topics import Topics

Make = Callable[..., KafkaSource]


@pytest.fixture
def cfg(kafka: str) -> Kafka:
    return Kafka(bootstrap_servers=[kafka], session_timeout_s=6)


@pytest.fixture
def make(cfg: Kafka) -> Iterator[Make]:
    sources: list[KafkaSource] = []

    def one(topic: str, group: str = "", **kwargs: object) -> KafkaSource:
        source = KafkaSource(cfg, [topic], group or topic, **kwargs)  # type: ignore[arg-type]
        sources.append(source)
        return source

    yield one
    for source in sources:
        source.close()


def joined(source: KafkaSource, count: int) -> None:
    """Until it has ``count`` partitions."""
    deadline = time.monotonic() + 30
    while len(source.assignment()) != count and time.monotonic() < deadline:
        with suppress(Rebalanced):
            source.poll(1, 0.1)
    assert len(source.assignment()) == count


def read(source: KafkaSource, count: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += source.poll(100, 0.2)
    return found


def test_given_a_new_member_when_it_polls_then_it_returns_once_partitions_are_dealt(
    topic: MakeTopic, make: Make
) -> None:
    # Given a member that has no partition yet
    source = make(topic("events", partitions=2))
    assert source.assignment() == []
    # When it polls with all the patience in the world, Then it does not need it
    began = time.monotonic()
    assert source.poll(100, 60.0) == []
    assert time.monotonic() - began < 30
    assert len(source.assignment()) == 2


def test_given_a_second_member_when_partitions_are_dealt_anew_then_the_first_is_told_and_reads_nothing_before(
    topics: Topics, topic: MakeTopic, make: Make
) -> None:
    # Given a member that has read everything
    name = topic("t", 4)
    for partition in range(4):
        topics.produce(name, [b"0", b"1"], partition=partition)
    first = make(name)
    joined(first, 4)
    assert len(read(first, 8)) == 8
    # When a second one joins
    second = make(name)
    second.assignment()

    # Then the first one is told, before any record of the new deal
    def poll_both() -> None:
        while True:
            second.poll(1, 0.1)
            assert first.poll(10, 0.2) == []

    with pytest.raises(Rebalanced, match="dealt anew"):
        poll_both()
    assert first.poll(10, 0.2) == []
    # And they share the partitions, each from where it places them
    joined(second, 2)
    joined(first, 2)
    assert not set(first.assignment()) & set(second.assignment())
    for source in (first, second):
        for place in source.assignment():
            source.seek(place, 1)
    assert {record.value for record in read(first, 2) + read(second, 2)} == {b"1"}


def test_given_a_static_member_when_another_takes_its_name_then_it_is_fenced(topic: MakeTopic, make: Make) -> None:
    name = topic()
    first = make(name, instance_id="one")
    joined(first, 1)
    second = make(name, instance_id="one")
    joined(second, 1)
    # Then it is told at its next commit (kafka-python keeps reading)
    with pytest.raises(Fenced, match=name):
        first.commit({TopicPartition(name, 0): 1})


def test_given_retention_when_it_passes_a_place_then_reading_goes_on_at_the_oldest_record(
    topics: Topics, topic: MakeTopic, make: Make
) -> None:
    # Given a source that stands at 0 of ten records
    name = topic()
    topics.produce(name, [b"%d" % n for n in range(10)])
    source = make(name)
    joined(source, 1)
    # When the first six are deleted before it reads
    topics.delete_before(name, 6)
    source.seek(TopicPartition(name, 0), 0)
    # Then the rest comes, with offsets that show the gap
    records = read(source, 4)
    assert [record.offset for record in records] == [6, 7, 8, 9]
    assert source.bounds(TopicPartition(name, 0)) == (6, 10)


def test_a_place_beyond_the_end_is_said(topics: Topics, topic: MakeTopic, make: Make) -> None:
    name = topic()
    topics.produce(name, [b"0"])
    source = make(name)
    joined(source, 1)
    source.seek(TopicPartition(name, 0), 7)
    with pytest.raises(PositionLost, match=r"ends at 1, was read up to 7"):
        read(source, 1)


def test_a_topic_made_again_is_another(topics: Topics, topic: MakeTopic, make: Make) -> None:
    name = topic()
    source = make(name)
    before = source.identities()
    topics.delete(name)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            topics.create(name)
            break
        except Exception:  # noqa: BLE001 - the deletion is under way
            time.sleep(0.1)
    assert source.identities() != before
    assert before[name].startswith("kafka:")


def test_a_missing_topic_is_named_with_what_makes_it(cfg: Kafka, topic: MakeTopic, topics: Topics) -> None:
    name = topic("there") + ".not"
    source = KafkaSource(cfg, [name], name)
    with pytest.raises(TopicMissing, match=rf"{name}: is missing; create with: kafka-topics\.sh .* or set"):
        source.assignment()
    # And with create_topics it is made
    making = KafkaSource(cfg.model_copy(update={"create_topics": True, "partitions": 3}), [name], name)
    joined(making, 3)
    making.close()


def test_without_a_broker_each_call_says_so_and_none_hangs() -> None:
    cfg = Kafka(bootstrap_servers=[f"127.0.0.1:{free_port()}"], request_timeout_s=1)
    source = KafkaSource(cfg, ["t"], "g")
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(StreamUnavailable, match="bootstrap_servers"):
            source.poll(1, 0.0)
        assert time.monotonic() - began < 5
    source.close()


def test_given_a_topic_that_the_client_knows_nothing_of_when_it_joins_then_it_asks_before_it_deals(
    topic: MakeTopic, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    # A leader that knew none dealt none, and one time in twenty it never dealt anew.
    for number in range(5):
        joined(make(topic(f"t{number}", 2)), 2)
    assert "No partition metadata" not in caplog.text
