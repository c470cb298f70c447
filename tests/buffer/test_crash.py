"""kill -9 of a writer: what it acknowledged is there, each id once, and nothing is there by halves."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import apsw

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from tests.buffer.support import TASK, fold
from tests.buffer.writing import PLACE, batch, letter

ROUNDS = 10


def test_ten_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "buffer.sqlite"
    rng = random.Random(0)
    done = 0
    for _ in range(ROUNDS):
        # Given a writer that goes on where the last one was killed
        acknowledged = kill_after(path, rng.uniform(0.02, 0.25))
        # Then all that was acknowledged is there, and at most one batch more
        stored = positions(path)
        assert stored in (acknowledged + 1, acknowledged + 2)
        assert stored > done
        done = stored
        check(path, stored)


def kill_after(path: Path, seconds: float) -> int:
    """Start a writer, kill it ``seconds`` after its first acknowledgement; the last batch acknowledged."""
    command = [sys.executable, "-m", "tests.buffer.writing", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        rest = process.stdout.read()
    return int((first + rest.rpartition("\n")[0]).split()[-1])


def positions(path: Path) -> int:
    writer = SqliteBufferWriter(path, {TASK: TaskConfig()}, BufferConfig(), SystemClock())
    try:
        return writer.positions()[PLACE]
    finally:
        writer.close()


def check(path: Path, batches: int) -> None:
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    places = [offset for (offset,) in connection.execute("SELECT offset FROM outbox ORDER BY number")]
    connection.close()
    assert places == [letter(k).origin.offset for k in range(batches)]
    reader = SqliteBufferReader(path)
    kept = {e.id: e.label for e in reader.export()}
    expected = {a.event.id for k in range(batches) for a in batch(k)} - {f"b{k // 2}-0" for k in range(batches)}
    assert kept.keys() == expected
    assert sum(label == "revised" for label in kept.values()) == (batches + 1) // 2
    assert {id_: e.label for id_, e in fold(reader.tail(TASK, 0, 10**6)).items()} == kept
    stats = reader.stats(TASK)
    assert stats.events == sum(stats.labelled.values()) == len(kept)
    reader.close()
