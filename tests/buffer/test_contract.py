from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from tests.buffer.contract import BufferContract, Open
from tests.buffer.support import TASK, HandClock, Opened


class TestSqliteBuffer(BufferContract):
    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Open]:
        buffers: list[Opened] = []
        clock = HandClock()

        def opener(tasks: Mapping[str, TaskConfig] | None = None, limits: BufferConfig | None = None) -> Opened:
            path = tmp_path / "buffer.sqlite"
            writer = SqliteBufferWriter(path, tasks or {TASK: TaskConfig()}, limits or BufferConfig(), clock)
            buffers.append(Opened(writer, SqliteBufferReader(path), clock))
            return buffers[-1]

        yield opener
        for buffer in buffers:
            buffer.close()
