"""An ingest role in a process of its own, to be killed: ``python -m tests.roles.ingest_process STATE_DIR``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from daemon.buffer.sqlite import SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.stream import Embedded
from daemon.config.task import TaskConfig
from daemon.logs import configure_logs
from daemon.observe import NullObserver
from daemon.roles.ingest import IngestRole
from daemon.roles.lock import RoleLock
from daemon.stream.decoders import get_decoder
from daemon.stream.embedded import EmbeddedSink, EmbeddedSource
from daemon.tasks.schema import get_schema

CFG = Embedded(partitions=2)


def main(state: Path) -> None:
    configure_logs()  # to standard error: nobody reads standard output after "ready"
    with RoleLock(state, "ingest").acquire(standby=True):
        tasks = {"support": TaskConfig()}
        role = IngestRole(
            EmbeddedSource(state / "stream.sqlite", ["in"], "g", CFG),
            EmbeddedSink(state / "stream.sqlite", CFG),
            SqliteBufferWriter(state / "buffer.sqlite", tasks, BufferConfig(), SystemClock()),
            decoders={"in": get_decoder(default_task="support")},
            schemas={"support": get_schema("sequence")},
            clock=SystemClock(),
            observer=NullObserver(),
            dead_letter_topic="dlq",
            max_record_bytes=10_000,
            passed=dict,
        )
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        role.run(threading.Event())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
