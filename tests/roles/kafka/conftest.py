"""Places between topics of the shared broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config.kafka import Kafka
from tests.kafka.fixtures import MakeTopic
from tests.kafka.topics import Topics
from tests.roles.kafka.place import KafkaPlace

MakePlace = Callable[..., KafkaPlace]


@pytest.fixture
def make_place(tmp_path: Path, kafka: str, topics: Topics, topic: MakeTopic) -> Iterator[MakePlace]:
    """Makes a place; ``configs`` are those of its topic, ``letters`` those of its dead-letter topic."""
    made: list[KafkaPlace] = []

    def make(
        configs: dict[str, str] | None = None, letters: dict[str, str] | None = None, partitions: int = 1, **more: Any
    ) -> KafkaPlace:
        cfg = Kafka(bootstrap_servers=[kafka], request_timeout_s=5)
        name, dead = topic("in", partitions, configs), topic("dlq", 1, letters)
        made.append(KafkaPlace(tmp_path, cfg, topics, name, dead, **more))
        return made[-1]

    yield make
    for place in made:
        place.close()


@pytest.fixture
def place(make_place: MakePlace) -> KafkaPlace:
    return make_place()
