"""What only the embedded stream has: retention, offsets that outlive it, a full disk, a foreign file."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Barrier

import apsw
import pytest

from daemon.config.stream import Embedded
from daemon.errors import SchemaTooNew, StoreError, StoreFull, StreamError
from daemon.stream.embedded import EmbeddedSink, EmbeddedSource
from daemon.stream.ports import OutRecord, TopicPartition

AT = TopicPartition("t", 0)


def test_retention_drops_the_oldest_and_offsets_are_never_used_twice(tmp_path: Path) -> None:
    # Given a topic that may hold 1 MiB
    path, cfg = tmp_path / "s", Embedded(retention_bytes=1 << 20)
    sink, source = EmbeddedSink(path, cfg), EmbeddedSource(path, ["t"], "g", cfg)
    # When 2 MiB are written
    for _ in range(20):
        sink.send([OutRecord("t", b"x" * 10_000, b"k") for _ in range(10)])
        sink.flush(5.0)
    # Then about half is left, the newest, and offsets go on
    first, following = source.bounds(AT)
    assert following == 200
    assert 90 < first < 110
    assert [r.offset for r in source.poll(1000, 0.0)] == list(range(first, 200))
    sink.close()
    source.close()


def test_age_empties_a_topic_but_not_its_offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cfg = tmp_path / "s", Embedded(retention_s=60)
    now = 1_000.0
    monkeypatch.setattr("daemon.stream.sink.time.time", lambda: now)
    sink, source = EmbeddedSink(path, cfg), EmbeddedSource(path, ["t"], "g", cfg)
    sink.send([OutRecord("t", b"old", b"k")])
    sink.flush(5.0)
    now = 2_000.0
    sink.send([OutRecord("t", b"new", b"k", (), 1.0)])
    sink.flush(5.0)
    assert source.bounds(AT) == (1, 2)  # an old timestamp of its own does not age a record
    sink.close()
    source.close()


def test_a_full_disk_stores_nothing_and_says_so_to_who_sent(tmp_path: Path) -> None:
    path, cfg = tmp_path / "s", Embedded()
    sink, source = EmbeddedSink(path, cfg), EmbeddedSource(path, ["t"], "g", cfg)
    sink._file.query("PRAGMA max_page_count=20")
    sink.send([OutRecord("t", b"x" * 200_000, b"k")])
    with pytest.raises(StoreFull, match="make room"):
        sink.flush(5.0)
    # Then, with room again, the next records go in at offset 0
    sink._file.query("PRAGMA max_page_count=1000000")
    sink.send([OutRecord("t", b"y", b"k")])
    sink.flush(5.0)
    assert [(r.offset, r.value) for r in source.poll(10, 0.0)] == [(0, b"y")]
    sink.close()
    source.close()


def test_another_file_is_another_identity(tmp_path: Path) -> None:
    one = EmbeddedSource(tmp_path / "a", ["t"], "g", Embedded())
    two = EmbeddedSource(tmp_path / "b", ["t"], "g", Embedded())
    assert one.identities() != two.identities()
    one.close()
    two.close()


def test_a_foreign_or_newer_file_is_refused(tmp_path: Path) -> None:
    foreign = apsw.Connection(str(tmp_path / "f"))
    foreign.execute("CREATE TABLE x (y)")
    foreign.close()
    with pytest.raises(StoreError, match="no stream of retaind"):
        EmbeddedSink(tmp_path / "f", Embedded())
    EmbeddedSink(tmp_path / "n", Embedded()).close()
    newer = apsw.Connection(str(tmp_path / "n"))
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(SchemaTooNew, match="newer retaind"):
        EmbeddedSink(tmp_path / "n", Embedded())


def _open(root: Path, rounds: int, together: Barrier, outcomes: SimpleQueue[str]) -> None:
    for number in range(rounds):
        together.wait(60)
        try:
            EmbeddedSource(root / f"s{number}", ["t"], "g", Embedded()).close()
            outcomes.put("")
        except (StoreError, StreamError) as error:
            outcomes.put(str(error))


def test_processes_that_open_a_new_stream_at_once_all_get_it(tmp_path: Path) -> None:
    # Given roles that start together on an empty directory, a few times over
    context, rounds = multiprocessing.get_context("spawn"), 20
    together, outcomes = context.Barrier(4), context.SimpleQueue()
    processes = [context.Process(target=_open, args=(tmp_path, rounds, together, outcomes)) for _ in range(4)]
    # When they open its stream
    for process in processes:
        process.start()
    # Then none is told that it is locked
    assert {outcomes.get() for _ in range(4 * rounds)} == {""}
    for process in processes:
        process.join(60)
