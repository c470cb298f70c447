"""Fixtures of every room's tests: brokers, which start only for a test that asks for one."""

from __future__ import annotations

import os

import pytest

from tests.kafka.fixtures import broker_jars, kafka, own_broker, secure_broker, topic, topics

__all__ = ["broker_jars", "kafka", "own_broker", "secure_broker", "topic", "topics"]

OURS = ("RETAIND_CHAOS_", "RETAIND_TEST_")


@pytest.fixture(autouse=True)
def _without_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What steers the tests is no setting of the daemon, which refuses variables that it does not know."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
