"""Brokers and topics for tests, wherever they stand below tests/ (tests/conftest.py names these fixtures).

``kafka`` is one broker for the whole run. A test that stops, kills or fills a broker takes ``own_broker``.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from filelock import FileLock

from tests.kafka import docker, jars
from tests.kafka.broker import Broker
from tests.kafka.secure import SecureBroker
from tests.kafka.topics import Topics

GIVEN = "RETAIND_TEST_KAFKA"
"""Environment variable with bootstrap servers of a broker to use instead of one of our own."""
STARTED: list[Broker] = []
"""Brokers that outlive this process's part of the run."""


def absent(reason: str) -> NoReturn:
    """Skip, and say what is missing; under CI=true there is no skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Kafka to test against: {reason}", pytrace=False)
    pytest.skip(f"no Kafka to test against: {reason}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of the run's one broker (PLAINTEXT); processes of pytest-xdist share it."""
    if given := os.environ.get(GIVEN):
        yield given
        return
    lacking = jars.lacking()
    if lacking is not None and docker.runs():
        with docker.Container() as container:
            yield container.bootstrap
        return
    if lacking is not None:
        absent(f"{lacking}; or start Docker, or set {GIVEN} to bootstrap servers")
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield shared(tmp_path_factory.getbasetemp().parent, os.getppid())
        return
    directory = tmp_path_factory.mktemp("kafka")
    with Broker(directory) as broker:
        yield broker.bootstrap
    shutil.rmtree(directory)


def shared(run: Path, owner: int) -> str:
    """Bootstrap servers of the broker of all processes with this directory; the first one starts it.

    It lives as long as ``owner``, the process that all of them are children of.
    """
    address = run / "kafka.address"
    with FileLock(run / "kafka.lock"):
        if not address.exists():
            broker = Broker(run / "kafka-broker", owner=owner).start(timeout_s=120)
            STARTED.append(broker)
            address.write_text(broker.bootstrap)
        return address.read_text()


@pytest.fixture(scope="session")
def broker_jars() -> str:
    """The class path of a broker, for tests that start brokers themselves."""
    if (lacking := jars.lacking()) is not None:
        absent(lacking)
    return jars.classpath()


@pytest.fixture
def own_broker(broker_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of the test's own, started; the test may stop, kill, pause and start it."""
    directory = tmp_path_factory.mktemp("broker")
    with Broker(directory) as broker:
        yield broker
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def secure_broker(broker_jars: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One broker with TLS, mutual TLS, SASL and ACLs for the whole run; no test may stop it."""
    directory = tmp_path_factory.mktemp("secure")
    with SecureBroker(directory) as broker:
        yield broker
    shutil.rmtree(directory)


class MakeTopic(Protocol):
    """What the fixture ``topic`` is."""

    def __call__(self, name: str = ..., partitions: int = ..., configs: Mapping[str, str] | None = ...) -> str: ...


@pytest.fixture
def topics(kafka: str) -> Topics:
    """The shared broker's topics, to make, fill, cut and read."""
    return Topics(kafka)


@pytest.fixture
def topic(topics: Topics) -> MakeTopic:
    """Makes a topic ``<unique to this test>.<name>`` and returns its whole name."""
    prefix = f"t{uuid.uuid4().hex[:10]}"

    def make(name: str = "events", partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        topics.create(f"{prefix}.{name}", partitions, configs)
        return f"{prefix}.{name}"

    return make
