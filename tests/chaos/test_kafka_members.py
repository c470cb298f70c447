"""Predict processes killed, stopped and replaced, and their broker killed, while requests come in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from tests.kafka.topics import Topics
from tests.roles.kafka.members import PARTITIONS, Members, Requests, answers, asked, settings, wait_until_answered

REQUESTS = 6_000


@pytest.fixture
def members(tmp_path: Path, own_broker: Broker, request: pytest.FixtureRequest) -> Iterator[Members]:
    made = Members(tmp_path, settings(own_broker.bootstrap, delivery=request.param))
    yield made
    made.close()


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("members", ["exactly_once"], indirect=True)
def test_given_requests_when_members_and_the_broker_are_killed_then_each_request_has_one_answer(
    members: Members, own_broker: Broker, rng: random.Random
) -> None:
    # Given two processes that share four partitions
    topics = Topics(own_broker.bootstrap)
    topics.create("requests", PARTITIONS)
    topics.create("predictions", 2)
    requests = Requests(own_broker.bootstrap, REQUESTS, 400)
    members.start("a")
    members.start("b")
    requests.start()
    # When seven of them are killed or stopped, and the broker three times
    members.churn(rng, 7, own_broker, 3)
    requests.end(120)
    # Then a read_committed consumer sees one answer to each request
    wanted = asked(topics)
    assert len(wanted) == REQUESTS
    wait_until_answered(topics, wanted, 120)
    by_id, by_prediction = answers(topics)
    assert by_id.keys() == wanted
    assert len(by_prediction) == len(wanted)
    assert max(by_id.values()) == 1
