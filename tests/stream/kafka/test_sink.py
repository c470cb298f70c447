"""What the writing end does beyond the contract: brokers that are away, memory that is bounded."""

from __future__ import annotations

import time

import pytest

from daemon.config.kafka import Kafka
from daemon.errors import StreamUnavailable, TopicMissing
from daemon.stream.kafka import KafkaSink
from daemon.stream.ports import OutRecord
from tests.kafka.broker import Broker
from tests.kafka.fixtures import MakeTopic
from tests.kafka.ports import free_port
from tests.kafka.topics import Topics


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_compressed_is_read_as_it_was(kafka: str, topics: Topics, topic: MakeTopic, compression: str) -> None:
    name = topic()
    sink = KafkaSink(Kafka(bootstrap_servers=[kafka], compression=compression))  # type: ignore[arg-type]
    sink.send([OutRecord(name, b"x" * 1000, b"k")])
    sink.flush(10)
    sink.close()
    assert [stored.value for stored in topics.read(name)] == [b"x" * 1000]


def test_a_record_with_nothing_in_it_gets_an_empty_value(kafka: str, topics: Topics, topic: MakeTopic) -> None:
    name = topic()
    sink = KafkaSink(Kafka(bootstrap_servers=[kafka]))
    sink.send([OutRecord(name, None)])
    sink.flush(10)
    sink.close()
    assert [(stored.key, stored.value) for stored in topics.read(name)] == [(None, b"")]


def test_a_missing_topic_is_said_at_once(kafka: str, topic: MakeTopic) -> None:
    sink, name = KafkaSink(Kafka(bootstrap_servers=[kafka])), topic("there") + ".not"
    began = time.monotonic()
    with pytest.raises(TopicMissing, match=rf"{name}: is missing; create with"):
        sink.send([OutRecord(name, b"x")])
    assert time.monotonic() - began < 3
    sink.close()


def test_without_a_broker_it_says_so_and_does_not_hang() -> None:
    sink = KafkaSink(Kafka(bootstrap_servers=[f"127.0.0.1:{free_port()}"], request_timeout_s=1))
    began = time.monotonic()
    with pytest.raises(StreamUnavailable, match="bootstrap_servers"):
        sink.send([OutRecord("t", b"x")])
    assert time.monotonic() - began < 5
    sink.close()


@pytest.mark.slow
def test_given_a_broker_that_goes_away_when_much_is_sent_then_memory_is_bounded_and_it_goes_on_when_it_is_back(
    own_broker: Broker,
) -> None:
    # Given a sink that may have a megabyte in flight, and a broker that stops
    Topics(own_broker.bootstrap).create("t")
    cfg = Kafka(bootstrap_servers=[own_broker.bootstrap], max_in_flight_bytes=1 << 20, request_timeout_s=2)
    sink = KafkaSink(cfg)
    sink.send([OutRecord("t", b"before", b"k")])
    sink.flush(10)
    own_broker.kill()
    # When more than that is sent, Then the sender is told, and what was taken stays below the bound
    with pytest.raises(StreamUnavailable, match="max_in_flight_bytes"):
        sink.send([OutRecord("t", b"x" * (64 << 10), b"k")] * 100)
    with pytest.raises(StreamUnavailable):
        sink.flush(1)
    # When it is back, Then what is sent again arrives
    own_broker.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            sink.send([OutRecord("t", b"after", b"k")])
            sink.flush(5)
            break
        except StreamUnavailable:
            continue
    values = [stored.value for stored in Topics(own_broker.bootstrap).read("t")]
    assert values[0] == b"before"
    assert values[-1] == b"after"
    # And closing it with the broker away takes seconds, not minutes
    own_broker.kill()
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 15
