"""What the user of ``retaind run`` sees when the broker is absent, goes, or has other topics than before."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.alone import Alone
from tests.daemon.harness import Daemon, events
from tests.daemon.kafka_rounds import LABELLED, make_topics, settings
from tests.daemon.test_kafka import keyed
from tests.daemon.test_kafka import settings as shared_settings
from tests.kafka.broker import Broker
from tests.kafka.fixtures import MakeTopic
from tests.kafka.topics import Topics

AT_ONCE_S = 30
"""How long anything may take to be seen, on a busy machine."""
Start = Callable[[Daemon], Alone]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ingest alone, and leaves none running."""
    made: list[Alone] = []

    def begin(daemon: Daemon) -> Alone:
        made.append(Alone(daemon, "ingest", name="ingest"))
        return made[-1]

    yield begin
    for ingest in made:
        ingest.kill()


def paused(ingest: Alone) -> set[str]:
    """The reasons for which reading pauses, by the metric."""
    lines = [line for line in ingest.get("/metrics")[1].splitlines() if line.startswith("retaind_ingest_paused{")]
    return {line.split('"')[1] for line in lines if line.endswith(" 1.0")}


def stored(daemon: Daemon) -> set[str]:
    try:
        return {str(event["id"]) for event in daemon.export()}
    except subprocess.CalledProcessError:  # not made yet
        return set()


def produce(topics: Topics, topic: str, start: int, end: int) -> set[str]:
    rows = events(end - start, start=start)
    values, keys = keyed(rows)
    topics.produce(topic, values, keys=keys)
    return {str(row["id"]) for row in rows}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_given_no_broker_at_boot_when_it_comes_and_topics_are_made_then_ingest_works_without_a_restart(
    tmp_path: Path, broker_jars: str, start: Start
) -> None:
    # Given ingest whose broker is not there
    broker = Broker(tmp_path / "broker")
    daemon = Daemon(tmp_path, **settings(broker.bootstrap, request_timeout_s=2))
    ingest = start(daemon)
    ingest.wait(lambda: paused(ingest) == {"stream_unavailable"}, AT_ONCE_S, "paused")
    # Then it lives, is not ready, and says where it looked
    assert ingest.get("/livez")[0] == 200
    status, told = ingest.get("/readyz")
    assert (status, json.loads(told)["troubles"]) == (503, ["stream_unavailable"])
    assert broker.bootstrap in ingest.said()
    try:
        # When the broker comes, Then it says which topics are missing and how they come to be
        broker.start()
        ingest.wait(lambda: "kafka-topics.sh" in ingest.said(), AT_ONCE_S, "told of topics")
        assert f"--create --topic {LABELLED}" in ingest.said()
        assert ingest.get("/readyz")[0] == 503
        # When they are made, Then it is ready, and stores what comes
        topics = make_topics(broker.bootstrap)
        ingest.wait(lambda: ingest.get("/readyz")[0] == 200, AT_ONCE_S, "ready")
        wanted = produce(topics, LABELLED, 0, 20)
        ingest.wait(lambda: stored(daemon) == wanted, AT_ONCE_S, "stored")
        assert paused(ingest) == set()
        assert ingest.process.poll() is None
    finally:
        broker.kill()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_given_a_broker_that_goes_for_a_while_when_it_is_back_then_ingest_goes_on_and_ends_without_one(
    tmp_path: Path, own_broker: Broker, start: Start
) -> None:
    # Given ingest at work
    topics = make_topics(own_broker.bootstrap)
    daemon = Daemon(tmp_path, **settings(own_broker.bootstrap, request_timeout_s=2), shutdown={"timeout_s": 25})
    ingest = start(daemon)
    wanted = produce(topics, LABELLED, 0, 20)
    ingest.wait(lambda: stored(daemon) == wanted, AT_ONCE_S, "stored")
    # When the broker goes
    own_broker.kill()
    # Then the user is told, and ingest stays
    ingest.wait(lambda: paused(ingest) == {"stream_unavailable"}, AT_ONCE_S, "told")
    assert "stream_unavailable" in ingest.said()
    # When it is back, Then ingest goes on by itself
    own_broker.start()
    ingest.wait(lambda: paused(ingest) == set(), AT_ONCE_S, "over")
    assert "stream_unavailable_over" in ingest.said()
    wanted |= produce(topics, LABELLED, 20, 40)
    ingest.wait(lambda: stored(daemon) == wanted, AT_ONCE_S, "stored")
    # When it is told to end without a broker, Then it does, in time
    own_broker.kill()
    began = time.monotonic()
    assert ingest.end() == 0, ingest.said()[-2000:]
    assert time.monotonic() - began < 25


@pytest.mark.slow
def test_given_a_topic_that_is_made_anew_when_ingest_runs_then_it_ends_and_names_it(
    tmp_path: Path, kafka: str, topics: Topics, topic: MakeTopic, start: Start
) -> None:
    config = shared_settings(kafka, topic)
    name = str(config["stream"]["inputs"][0]["topic"])
    daemon = Daemon(tmp_path, **config, http={"port": 0, "role_ports": {"ingest": 0}})
    ingest = start(daemon)
    wanted = produce(topics, name, 0, 20)
    ingest.wait(lambda: stored(daemon) == wanted, AT_ONCE_S, "stored")
    # When the topic is deleted, Then the user is told that it is missing
    topics.delete(name)
    ingest.wait(lambda: paused(ingest) == {"stream_unavailable"}, AT_ONCE_S, "told")
    # When it is made again
    topics.create(name, 2)
    produce(topics, name, 100, 200)
    # Then ingest ends with status 1 and says which topic and what to do; what it had is as it was
    assert ingest.process.wait(AT_ONCE_S) == 1
    last = ingest.said().splitlines()[-1]
    assert last.startswith(f"retaind: {name}: is kafka:")
    assert "point stream back at the old one, or start with a new state_dir" in last
    assert stored(daemon) == wanted
