"""Fixtures of every room's tests: brokers, which start only for a test that asks for one."""

from __future__ import annotations

import pytest

from tests.kafka.fixtures import broker_jars, group, kafka, own_broker, secure_broker, topic, topics

__all__ = ["broker_jars", "kafka", "own_broker", "secure_broker", "topic", "topics"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a broker in one process of pytest-xdist's."""
    for item in items:
        if (name := group(item)) is not None:
            item.add_marker(pytest.mark.xdist_group(name))
