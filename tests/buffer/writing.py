"""A writer that a test kills: appends batches for ever, saying on standard output what is acknowledged.

Run as ``python -m tests.buffer.writing PATH``. Batch k brings ten new events, a second label for one of an
earlier batch, one deletion and one dead letter, and moves the position from k to k + 1.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from daemon.buffer.ports import Arrival, DeadLetter
from daemon.buffer.sqlite import SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from daemon.events import Origin
from tests.buffer.support import TASK, arrival, delete

PLACE = ("labelled", 0)


def batch(k: int) -> list[Arrival]:
    new = [arrival(f"b{k}-{i}", f"text {k} {i}", f"c{i % 4}", at=k, offset=k * 100 + i) for i in range(10)]
    revised = arrival(f"b{k // 2}-1", label="revised", at=k + 0.5, offset=k * 100 + 20)
    return [*new, revised, delete(f"b{k // 2}-0", offset=k * 100 + 30)]


def letter(k: int) -> DeadLetter:
    return DeadLetter(Origin("labelled", 0, k * 100 + 40), float(k), None, b"{", (), "not_json")


def main(path: Path) -> None:
    writer = SqliteBufferWriter(path, {TASK: TaskConfig()}, BufferConfig(), SystemClock())
    for k in count(writer.positions().get(PLACE, 0)):
        report = writer.append(batch(k), {PLACE: (k or None, k + 1)}, [letter(k)])
        sys.stdout.write(f"{k}\n")
        sys.stdout.flush()
        if k % 7 == 6:
            writer.maintain({TASK: report.last_seq})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
