"""Fixtures of every room's tests: brokers, which start only for a test that asks for one."""

from tests.kafka.fixtures import broker_jars, kafka, own_broker, secure_broker, topic, topics

__all__ = ["broker_jars", "kafka", "own_broker", "secure_broker", "topic", "topics"]
