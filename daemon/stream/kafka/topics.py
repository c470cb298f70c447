"""What only an admin client can tell or do: who a topic is, whether it is there, making it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import TopicAlreadyExistsError, for_code

from daemon.config.kafka import Kafka
from daemon.errors import StreamDenied, TopicMissing
from daemon.stream.kafka.errors import ours
from daemon.stream.kafka.opening import opened
from daemon.stream.kafka.reaching import reaching
from daemon.stream.kafka.watchdog import let_go

CLOSE_S = 5.0


def identities(cfg: Kafka, topics: Sequence[str]) -> Mapping[str, str]:
    """topic -> ``kafka:CLUSTER:TOPIC_ID``. Raises TopicMissing, StreamDenied, StreamUnavailable."""
    with admin_client(cfg) as admin:
        cluster = admin.describe_cluster()["cluster_id"]
        return {topic: f"kafka:{cluster}:{found}" for topic, found in ids(admin, topics).items()}


def ids(admin: KafkaAdminClient, topics: Sequence[str]) -> Mapping[str, str]:
    """topic -> its id, by a client that is there already. Raises the client's errors beside these."""
    told = {topic["name"]: topic for topic in admin.describe_topics(list(topics))}
    for topic in topics:
        _check(topic, told.get(topic))
    return {topic: str(told[topic]["topic_id"]) for topic in topics}


def ensure(cfg: Kafka, topics: Sequence[str]) -> None:
    """Every one is there afterwards: those that are missing are made where ``create_topics`` says so.

    Raises TopicMissing otherwise, StreamDenied, StreamUnavailable.
    """
    with admin_client(cfg) as admin:
        found = {topic["name"]: topic for topic in admin.describe_topics(list(topics))}
        missing = [topic for topic in topics if is_missing(found.get(topic))]
        if missing and not cfg.create_topics:
            verb = "is" if len(missing) == 1 else "are"
            raise TopicMissing(f"{', '.join(missing)}: {verb} missing; {mend(cfg, missing)}")
        if missing:
            with suppress(TopicAlreadyExistsError):  # another process of ours was faster
                admin.create_topics([NewTopic(topic, cfg.partitions, -1) for topic in missing])
            admin.wait_for_topics(missing)
        for topic in topics:
            if topic not in missing:
                _check(topic, found.get(topic))


def mend(cfg: Kafka, topics: Sequence[str]) -> str:
    """How missing topics come to be."""
    server = cfg.bootstrap_servers[0] if cfg.bootstrap_servers else "HOST:PORT"
    lines = [
        f"kafka-topics.sh --bootstrap-server {server} --create --topic {topic} --partitions {cfg.partitions}"
        for topic in topics
    ]
    return f"create with: {'; '.join(lines)}; or set stream.kafka.create_topics: true"


@contextmanager
def admin_client(cfg: Kafka) -> Iterator[KafkaAdminClient]:
    """One that is connected. Its errors, and those of what is done with it, become ours."""
    admin = opened(cfg, KafkaAdminClient)
    with reaching(cfg):
        try:
            yield admin
        finally:
            let_go(CLOSE_S, "the admin client", admin.close)


def is_missing(topic: Mapping[str, Any] | None) -> bool:
    """Of one topic of ``describe_topics``."""
    return topic is None or issubclass(ours(for_code(topic["error_code"])()), TopicMissing)


def _check(name: str, topic: Mapping[str, Any] | None) -> None:
    if is_missing(topic):
        raise TopicMissing(f"{name}: is missing")
    assert topic is not None
    if topic["error_code"]:
        error = for_code(topic["error_code"])()
        kind = ours(error)
        mend = (
            f"; grant READ on topic {name} where it is read, WRITE where it is written (retaind doctor says how)"
            if issubclass(kind, StreamDenied)
            else ""
        )
        raise kind(f"{name}: {error}{mend}")
