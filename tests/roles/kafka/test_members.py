"""Predict processes join, leave and are killed: every request is answered, with exactly_once once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config.kafka import Kafka
from daemon.errors import StreamUnavailable
from daemon.stream.kafka import KafkaSource, Transactions
from daemon.stream.ports import OutRecord, TopicPartition
from tests.kafka.broker import Broker
from tests.kafka.topics import Topics
from tests.roles.kafka.members import PARTITIONS, Members, Requests, answers, asked, settings, wait_until_answered


@pytest.fixture
def topics(own_broker: Broker) -> Topics:
    made = Topics(own_broker.bootstrap)
    made.create("requests", PARTITIONS)
    made.create("predictions", 2)
    return made


@pytest.fixture
def members(tmp_path: Path, own_broker: Broker, request: pytest.FixtureRequest) -> Iterator[Members]:
    made = Members(tmp_path, settings(own_broker.bootstrap, delivery=request.param))
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("members", ["at_least_once", "exactly_once"], indirect=True)
def test_given_two_members_when_they_are_killed_stopped_and_replaced_then_every_request_is_answered(
    members: Members, topics: Topics, own_broker: Broker, request: pytest.FixtureRequest
) -> None:
    # Given two processes that share four partitions, and requests without a pause
    requests = Requests(own_broker.bootstrap, 2000, 300)
    members.start("a")
    members.start("b")
    requests.start()
    # When members are killed, stopped, and others join
    members.churn(random.Random(1), 3)
    requests.end(60)
    # Then each request is answered
    wanted = asked(topics)
    assert len(wanted) == 2000
    wait_until_answered(topics, wanted, 60)
    by_id, by_prediction = answers(topics)
    assert by_id.keys() == wanted
    # And an answer that is given again has the same id: as many ids as requests
    assert len(by_prediction) == len(wanted)
    if request.node.callspec.params["members"] == "exactly_once":
        assert max(by_id.values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("members", "idle"), [("at_least_once", True), ("exactly_once", False)], indirect=["members"])
def test_given_two_processes_with_one_instance_id_when_both_run_then_the_first_ends_with_status_2_and_says_why(
    members: Members, topics: Topics, own_broker: Broker, request: pytest.FixtureRequest, idle: bool
) -> None:
    # Given a process with a name, that has answered, and more requests to come
    requests = Requests(own_broker.bootstrap, 400, 100)
    members.start("first", instance_id="p1")
    requests.start()
    wait_until_answered(topics, {"r0"}, 30)
    # When another one starts with that name, under load or without
    if idle:
        requests.end(30)
        wait_until_answered(topics, asked(topics), 30)
    members.start("second", instance_id="p1")
    # Then the first ends and tells which name, and the second works on
    assert members.processes["first"].wait(30) == 2
    last = members.said("first").splitlines()[-1]
    assert last.startswith("retaind: ")
    assert "p1" in last
    assert "each needs a stream.kafka.instance_id" in last or "each predict process needs" in last
    requests.end(30)
    topics.produce("requests", [b'{"id": "r400", "time": "2026-01-01T00:00:00Z", "text": "text 400"}'])
    wait_until_answered(topics, asked(topics), 30)
    assert members.processes["second"].poll() is None
    if request.node.callspec.params["members"] == "exactly_once":
        assert max(answers(topics)[0].values()) == 1


def test_a_transaction_that_took_too_long_is_done_again(topics: Topics, own_broker: Broker) -> None:
    # Given a transaction that the brokers have aborted, because the process stood still for longer than its timeout
    cfg = Kafka(
        bootstrap_servers=[own_broker.bootstrap], transaction_timeout_s=1, request_timeout_s=5, instance_id="p1"
    )
    source = KafkaSource(cfg, ["requests"], "g", instance_id="p1")
    while not source.assignment():
        source.poll(1, 0.1)
    delivery, positions = Transactions(cfg, source, "predict"), {TopicPartition("requests", 0): 0}
    metadata = source.group_metadata

    def stand_still() -> object:
        time.sleep(4)
        return metadata()

    source.group_metadata = stand_still  # type: ignore[method-assign]
    # When it goes on, Then it is told to do it again, not to end
    with pytest.raises(StreamUnavailable, match="done again"):
        delivery.deliver([OutRecord("predictions", b"one")], positions)
    # And then it counts, once
    source.group_metadata = metadata  # type: ignore[method-assign]
    delivery.prepare()
    delivery.deliver([OutRecord("predictions", b"one")], positions)
    assert [stored.value for stored in topics.read("predictions")] == [b"one"]
    delivery.close()
    source.close()
