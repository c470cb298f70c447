from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.stream import Embedded
from daemon.stream.embedded import EmbeddedSink, EmbeddedSource
from daemon.stream.ports import Sink, Source
from daemon.testing import MemoryBroker, MemorySink, MemorySource
from tests.stream.contract import PARTITIONS, DenialContract, LimitContract, StreamContract

CFG = Embedded(partitions=PARTITIONS)


class TestEmbedded(StreamContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "stream.sqlite"

    def make_source(self, group: str) -> Source:
        return EmbeddedSource(self.path, [self.topic], group, CFG)

    def make_sink(self) -> Sink:
        return EmbeddedSink(self.path, CFG)


class TestMemory(LimitContract, DenialContract):
    @pytest.fixture(autouse=True)
    def _broker(self) -> None:
        self.broker = MemoryBroker(PARTITIONS)

    def make_source(self, group: str) -> Source:
        return MemorySource(self.broker, [self.topic], group)

    def make_sink(self) -> Sink:
        return MemorySink(self.broker)

    def limit(self, max_bytes: int) -> None:
        self.broker.max_record_bytes = max_bytes

    def deny(self) -> None:
        self.broker.denied.add(self.topic)
