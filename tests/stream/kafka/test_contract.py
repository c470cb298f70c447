"""Kafka's ends pass the contract of every stream, against a real broker."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from daemon.config.kafka import Kafka
from daemon.stream.kafka import KafkaSink, KafkaSource
from daemon.stream.ports import Sink, Source
from tests.kafka.fixtures import MakeTopic
from tests.kafka.topics import Topics
from tests.stream.contract import PARTITIONS, LimitContract


class TestMember(LimitContract):
    patience_s = 0.5
    member = True

    @pytest.fixture(autouse=True)
    def _topic(self, kafka: str, topics: Topics, topic: MakeTopic) -> None:
        self.cfg = Kafka(bootstrap_servers=[kafka])
        self.topic, self.topics = topic("t", PARTITIONS), topics

    def make_source(self, group: str) -> Source:
        return KafkaSource(self.cfg, [self.topic], f"{self.topic}-{group}", member=self.member)

    def make_sink(self) -> Sink:
        return KafkaSink(self.cfg)

    def limit(self, max_bytes: int) -> None:
        admin = self.topics.admin()
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, self.topic, {"max.message.bytes": str(max_bytes)})]
        )
        admin.close()


class TestEveryPartition(TestMember):
    member = False
