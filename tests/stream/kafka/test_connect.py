"""Ends that find no broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from daemon.config.kafka import Kafka
from daemon.errors import StreamUnavailable
from daemon.stream.kafka import KafkaSink, KafkaSource, topics
from daemon.stream.kafka.incarnations import Incarnations
from daemon.stream.ports import OutRecord
from tests.kafka.ports import free_port


@pytest.fixture
def cfg() -> Kafka:
    """A port at which nobody listens."""
    return Kafka(bootstrap_servers=[f"127.0.0.1:{free_port()}"], request_timeout_s=1)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda cfg: topics.ensure(cfg, ["a"]),
        lambda cfg: KafkaSink(cfg).send([OutRecord("a", b"x")]),
        lambda cfg: KafkaSource(cfg, ["a"], "g").assignment(),
        lambda cfg: Incarnations(cfg, ["a"]).check(idle=True),
    ],
    ids=["admin", "sink", "source", "incarnations"],
)
def test_a_connection_that_failed_leaves_no_thread(cfg: Kafka, attempt: Callable[[Kafka], None]) -> None:
    before = set(threading.enumerate())
    with pytest.raises(StreamUnavailable, match="bootstrap_servers"):
        attempt(cfg)
    assert set(threading.enumerate()) <= before


def test_writers_that_wait_for_one_connection_are_told_of_its_failure_together(cfg: Kafka) -> None:
    # Given five writers
    sink, failures = KafkaSink(cfg), list[StreamUnavailable]()
    opened: list[int] = []
    options = sink._options
    sink._options = lambda: opened.append(1) or options()  # type: ignore[method-assign, func-returns-value]

    def write() -> None:
        try:
            sink.client()
        except StreamUnavailable as error:
            failures.append(error)

    # When they write at once, and there is no broker
    threads = [threading.Thread(target=write) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then one has tried, and all know
    assert (len(failures), len(opened)) == (5, 1)
