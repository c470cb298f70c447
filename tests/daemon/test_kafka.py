"""The whole daemon on Apache Kafka: labelled events and requests in, predictions and announcements out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.daemon.harness import Daemon, events
from tests.kafka.fixtures import MakeTopic
from tests.kafka.topics import Stored, Topics


def settings(bootstrap: str, topic: MakeTopic, **kafka: Any) -> dict[str, Any]:
    """A daemon on topics of its own; predictions from two partitions of requests."""
    labelled, requests = topic("labelled", 2), topic("requests", 2)
    outputs = {name: topic(name) for name in ("predictions", "dead_letters", "versions")}
    return {
        "stream": {
            "kind": "kafka",
            "inputs": [{"topic": labelled}, {"topic": requests, "predict": True}],
            "outputs": outputs,
            "kafka": {"bootstrap_servers": [bootstrap], "group_id": labelled, "session_timeout_s": 6, **kafka},
        },
        "tasks": {
            "support": {
                "type": "sequence",
                "tune": {"kind": "head"},
                "training": {"epochs": 1},
                "trigger": {"min_events": 100000},
                "gate": {"insufficient": "promote"},
            }
        },
    }


def keyed(rows: list[dict[str, Any]]) -> tuple[list[bytes], list[bytes]]:
    return [orjson.dumps(row) for row in rows], [str(row["id"]).encode() for row in rows]


@pytest.fixture
def made() -> Iterator[list[Daemon]]:
    daemons: list[Daemon] = []
    yield daemons
    for daemon in daemons:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_given_kafka_when_events_and_requests_come_then_each_is_stored_and_answered(
    tmp_path: Path, made: list[Daemon], kafka: str, topics: Topics, topic: MakeTopic, delivery: str
) -> None:
    # Given a daemon on Kafka, and events and poison that were there before it
    config = settings(kafka, topic, delivery=delivery)
    names = {**config["stream"]["outputs"], "in": config["stream"]["inputs"][0]["topic"]}
    rows = events(80)
    values, keys = keyed(rows)
    topics.produce(names["in"], values, keys=keys)
    topics.produce(names["in"], [b"{poison"])
    daemon = Daemon(tmp_path, **config)
    made.append(daemon)
    daemon.start().ready()
    daemon.wait(lambda: daemon.get("/v1/buffer")["last_seq"]["support"] >= 80, 60, "stored")
    daemon.wait(lambda: daemon.predict("I lost my card")["label"] == "card_lost", 30, "learnt")

    # When requests come
    asked = [{**row, "id": f"r{n}"} for n, row in enumerate(events(40))]
    for row in asked:
        del row["label"]
    values, keys = keyed(asked)
    topics.produce(config["stream"]["inputs"][1]["topic"], values, keys=keys)

    # Then each has its answer, with the right label, once
    def answers() -> list[Stored]:
        return topics.read(names["predictions"])

    daemon.wait(lambda: len(answers()) >= 40, 60, "answered")
    time.sleep(1)
    found = {body["id"]: body["label"] for body in (orjson.loads(stored.value or b"") for stored in answers())}
    assert len(answers()) == 40
    assert found == {f"r{n}": row["label"] for n, row in enumerate(events(40))}
    # And the poison is a dead letter with its place, and the lag is nothing
    (letter,) = topics.read(names["dead_letters"])
    assert dict(letter.headers)["__connect.errors.topic"] == names["in"].encode()
    assert letter.value == b"{poison"
    daemon.wait(lambda: _lag(daemon) == {0.0}, 10, "no lag")
    assert daemon.stop() == 0, daemon.tail()


@pytest.mark.slow
def test_given_kafka_when_a_version_is_promoted_and_rolled_back_then_its_topic_says_so(
    tmp_path: Path, made: list[Daemon], kafka: str, topics: Topics, topic: MakeTopic
) -> None:
    # Given a daemon on Kafka that has learnt some labels
    config = settings(kafka, topic)
    values, keys = keyed(events(40))
    topics.produce(config["stream"]["inputs"][0]["topic"], values, keys=keys)
    daemon = Daemon(tmp_path, **config)
    made.append(daemon)
    daemon.start().ready()
    daemon.wait(lambda: daemon.get("/v1/buffer")["last_seq"]["support"] >= 40, 60, "stored")

    # When an update is asked for, and its version is rolled back
    def told() -> list[dict[str, Any]]:
        stored = topics.read(config["stream"]["outputs"]["versions"])
        assert {record.key for record in stored} <= {b"support"}
        return [orjson.loads(record.value or b"") for record in stored]

    daemon.cli("train-now", "--why", "test")
    daemon.wait(lambda: [body["kind"] for body in told()] == ["promoted"], 120, "the promotion told")
    daemon.cli("rollback", "--why", "worse on Mondays")
    daemon.wait(lambda: len(told()) == 2, 30, "the rollback told")

    # Then consumers know which version answers, and why
    promoted, rolled_back = told()
    assert (promoted["task"], promoted["version"], promoted["promoted"]) == ("support", "000002", True)
    assert (rolled_back["kind"], rolled_back["version"]) == ("rolled_back", "000001")
    assert (rolled_back["before"], rolled_back["why"]) == ("000002", "worse on Mondays")
    assert daemon.stop() == 0, daemon.tail()


def _lag(daemon: Daemon) -> set[float]:
    lines = [line for line in daemon.metrics().splitlines() if line.startswith("retaind_consumer_lag_records{")]
    return {float(line.rpartition(" ")[2]) for line in lines}
