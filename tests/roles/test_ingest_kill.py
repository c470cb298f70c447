"""Ingest is killed 30 times while a producer writes; then the buffer holds what was acknowledged, once."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from daemon.sqlite import read_only
from daemon.stream.embedded import EmbeddedSink
from daemon.stream.ports import OutRecord
from tests.roles.ingest_process import CFG


def start(state: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.roles.ingest_process", str(state)]
    with (state / "errors.txt").open("ab") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)


def ready(process: subprocess.Popen[bytes], state: Path) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()) and line != b"ready\n":
        pass
    assert line, f"ingest ended before it was ready: {(state / 'errors.txt').read_text()[-2000:]}"


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def produce(state: Path, stop: threading.Event, acknowledged: list[str], bad: list[bytes]) -> None:
    """Each id once, now and then again, and now and then what is no event."""
    sink, draw, number = EmbeddedSink(state / "stream.sqlite", CFG), random.Random(2), 0
    while not stop.is_set():
        fresh = [f"e{number + i}" for i in range(draw.randint(1, 40))]
        number += len(fresh)
        again = draw.sample(acknowledged, min(3, len(acknowledged)))
        junk = [b"junk-%d" % number] if draw.random() < 0.2 else []
        records = [
            OutRecord(
                "in",
                orjson.dumps({"id": name, "time": "2026-01-01T00:00:00Z", "text": f"text {name}", "label": "x"}),
                name.encode(),
            )
            for name in fresh + again
        ]
        sink.send(records + [OutRecord("in", value) for value in junk])
        sink.flush(30.0)
        acknowledged += fresh
        bad += junk
        time.sleep(0.005)
    sink.close()


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = read_only(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("rounds", [10, pytest.param(30, marks=pytest.mark.chaos)])
def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, rounds: int) -> None:
    # Given a producer that never pauses
    acknowledged: list[str] = []
    bad: list[bytes] = []
    stop, draw = threading.Event(), random.Random(1)
    producer = threading.Thread(target=produce, args=(tmp_path, stop, acknowledged, bad))
    producer.start()
    # When ingest is killed at random moments, the next one already on its way to the lock
    started, kills = [start(tmp_path)], 0
    try:
        ready(started[-1], tmp_path)
        for _ in range(rounds):
            # only one ever waits: of two, nobody could say which takes the lock
            started.append(start(tmp_path))
            time.sleep(draw.uniform(0.0, 0.3))
            assert started[-2].poll() is None
            end(started[-2])
            kills += 1
            ready(started[-1], tmp_path)
        stop.set()
        producer.join()
        ends = f"{tmp_path}/stream.sqlite"
        deadline = time.monotonic() + 15
        sql_next = "SELECT partition, next FROM logs JOIN topics ON topics.id = topic WHERE name = 'in' AND next > 0"
        sql_stored = "SELECT partition, next FROM positions"
        while sorted(rows(Path(ends), sql_next)) != sorted(rows(tmp_path / "buffer.sqlite", sql_stored)):
            assert time.monotonic() < deadline, "ingest did not catch up"
            time.sleep(0.05)
        while rows(tmp_path / "buffer.sqlite", "SELECT 1 FROM outbox"):
            assert time.monotonic() < deadline, "dead letters were not sent"
            time.sleep(0.05)
    finally:
        stop.set()
        producer.join()
        for process in started:
            end(process)
    # Then, read by SQL and not by our reader: every acknowledged id is there once, every bad record in the topic
    assert kills == rounds
    found = Counter(name for (name,) in rows(tmp_path / "buffer.sqlite", "SELECT id FROM events"))
    assert set(found) == set(acknowledged)
    assert set(found.values()) == {1}
    letters = rows(
        tmp_path / "stream.sqlite",
        "SELECT value FROM records WHERE place >> 40 IN "
        "(SELECT logs.id FROM logs JOIN topics ON topics.id = topic WHERE name = 'dlq')",
    )
    assert {value for (value,) in letters} == set(bad)
