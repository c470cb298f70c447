"""Exactly once: answers and offsets together, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from daemon.config.kafka import Kafka
from daemon.errors import StreamUnavailable
from daemon.stream.kafka import KafkaSource, Transactions
from daemon.stream.ports import OutRecord, TopicPartition
from tests.kafka.fixtures import MakeTopic
from tests.kafka.topics import Topics


class Pair:
    """A member of the group of requests, and its transactions."""

    def __init__(self, cfg: Kafka, requests: str, answers: str) -> None:
        self.source = KafkaSource(cfg, [requests], requests)
        self.transactions = Transactions(cfg, self.source, requests)
        self.place, self.answers = TopicPartition(requests, 0), answers

    def join(self) -> None:
        deadline = time.monotonic() + 30
        while not self.source.assignment() and time.monotonic() < deadline:
            self.source.poll(1, 0.1)
        self.transactions.prepare()

    def answer(self, value: bytes, end: int) -> None:
        self.transactions.deliver([OutRecord(self.answers, value, b"k")], {self.place: end})

    def close(self) -> None:
        self.transactions.close()
        self.source.close()


@pytest.fixture
def cfg(kafka: str) -> Kafka:
    return Kafka(bootstrap_servers=[kafka], delivery="exactly_once", instance_id="one", request_timeout_s=5)


@pytest.fixture
def pair(cfg: Kafka, topic: MakeTopic) -> Iterator[Pair]:
    made = Pair(cfg, topic("requests"), topic("answers"))
    made.join()
    yield made
    made.close()


def test_given_a_delivery_when_it_is_over_then_answers_and_offsets_count(pair: Pair, topics: Topics) -> None:
    for n in range(3):
        pair.answer(b"%d" % n, n + 1)
    assert [stored.value for stored in topics.read(pair.answers)] == [b"0", b"1", b"2"]
    assert pair.source.committed(pair.place) == 3


def test_offsets_go_out_without_answers_too(pair: Pair) -> None:
    pair.transactions.deliver([], {pair.place: 9})
    assert pair.source.committed(pair.place) == 9


def test_given_an_answer_that_fails_then_neither_it_nor_the_offsets_count_and_the_next_does(
    pair: Pair, topics: Topics
) -> None:
    # Given a delivery of which one record can never be written
    pair.answer(b"0", 1)
    too_large = [OutRecord(pair.answers, b"1", b"k"), OutRecord(pair.answers, b"x" * (2 << 20), b"k")]
    # When it is tried, Then it is said, and nothing of it counts
    with pytest.raises(StreamUnavailable, match="is given up"):
        pair.transactions.deliver(too_large, {pair.place: 2})
    pair.transactions.prepare()
    assert pair.source.committed(pair.place) == 1
    # And the next delivery counts
    pair.answer(b"2", 2)
    assert [stored.value for stored in topics.read(pair.answers)] == [b"0", b"2"]
    assert pair.source.committed(pair.place) == 2


def test_given_another_producer_with_its_id_then_the_former_ones_transaction_is_ended_and_does_not_count(
    pair: Pair, cfg: Kafka, topics: Topics
) -> None:
    pair.answer(b"0", 1)
    other = Transactions(cfg, pair.source, pair.place.topic)
    other.prepare()
    with pytest.raises(StreamUnavailable, match="was ended by the brokers and is done again"):
        pair.answer(b"1", 2)
    assert [stored.value for stored in topics.read(pair.answers)] == [b"0"]
    other.close()
