"""What is SQLite's own: versions, damage, no room, scans, other processes, and what erasing leaves in the files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from daemon.buffer.ports import DeadLetter
from daemon.buffer.schema import APPLICATION_ID, SCHEMA_VERSION
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.errors import PositionConflict, SchemaTooNew, SignatureMismatch, StoreCorrupt, StoreError, StoreFull
from daemon.events import Origin, Split
from tests.buffer.support import TASK, HandClock, arrival, delete

TASKS = {TASK: TaskConfig()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "buffer.sqlite"


@pytest.fixture
def write(path: Path) -> Iterator[Callable[..., SqliteBufferWriter]]:
    writers = []

    def opener(split: SplitConfig | None = None) -> SqliteBufferWriter:
        tasks = TASKS if split is None else {TASK: TaskConfig(split=split)}
        writers.append(SqliteBufferWriter(path, tasks, BufferConfig(), HandClock()))
        return writers[-1]

    yield opener
    for writer in writers:
        writer.close()


Write = Callable[..., SqliteBufferWriter]


def test_a_newer_schema_is_refused_naming_both(path: Path, write: Write) -> None:
    # Given a file that a newer retaind made
    write().close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", SCHEMA_VERSION + 7)
    connection.close()
    before = path.read_bytes()
    # Then nobody opens it, and it stays as it is
    message = rf"schema version {SCHEMA_VERSION + 7} .* up to {SCHEMA_VERSION}"
    with pytest.raises(SchemaTooNew, match=message):
        write()
    with pytest.raises(SchemaTooNew, match=message):
        SqliteBufferReader(path)
    assert path.read_bytes() == before


def test_a_buffer_of_version_1_is_taken_over_with_what_waits_in_it(path: Path, write: Write) -> None:
    # Given a file as version 1 left it, with a letter
    writer = write()
    waiting = DeadLetter(Origin("in", 0, 7), 5.0, None, b"12345", (), "not_json")
    writer.append([], {}, [waiting])
    size = writer.outbox_size()
    writer.close()
    connection = apsw.Connection(str(path))
    connection.execute("DROP TRIGGER outbox_in; DROP TRIGGER outbox_out; DROP TABLE outbox_size")
    connection.pragma("user_version", 1)
    connection.close()
    # Then a reader asks for ingest, which takes it over
    with pytest.raises(StoreError, match="start the ingest role once, it migrates it"):
        SqliteBufferReader(path)
    writer = write()
    assert writer.outbox_size() == size
    ((number, letter),) = writer.outbox(10)
    assert letter == waiting
    writer.acknowledge([number])
    assert tuple(writer.outbox_size()) == (0, 0)


def test_another_programs_file_is_refused(path: Path, write: Write) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(StoreError, match=f"expected {APPLICATION_ID:#x}"):
        write()


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(StoreError, match="no buffer there yet; start the ingest role"):
        SqliteBufferReader(path)


def test_damage_is_named(path: Path, write: Write) -> None:
    # Given a file whose pages were overwritten
    writer = write()
    writer.append([arrival(f"e{i}", f"text {i}", "x") for i in range(500)], {})
    writer.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    # Then it says so
    with pytest.raises(StoreCorrupt, match=r"buffer\.sqlite: damaged"):
        write().append([arrival("new", "text", "x")], {})
    # and so it does where the file is not a database at all
    path.write_bytes(b"no database at all, only words. " * 200)
    with pytest.raises(StoreCorrupt, match="damaged"):
        SqliteBufferReader(path)


def test_no_room_stores_nothing_and_can_be_tried_again(path: Path, write: Write) -> None:
    # Given a disk that is as good as full
    writer = write()
    writer.append([arrival("a", "text", "x")], {("labelled", 0): (None, 1)})
    pages = writer._connection.pragma("page_count")
    writer._connection.pragma("max_page_count", pages)
    batch = [arrival(f"e{i}", "words " * 100 + str(i), "y") for i in range(200)]
    # When a batch does not fit, Then nothing of it is stored
    with pytest.raises(StoreFull, match="no space left"):
        writer.append(batch, {("labelled", 0): (1, 201)})
    assert writer.positions() == {("labelled", 0): 1}
    assert writer.label_counts(TASK) == {"x": 1}
    # and so it is where something else is done meanwhile, which has ended then
    done: list[None] = []
    with pytest.raises(StoreFull, match="no space left"):
        writer.append(batch, {("labelled", 0): (1, 201)}, meanwhile=lambda: done.append(None))
    assert (len(done), writer.positions()) == (1, {("labelled", 0): 1})
    # When there is room again, Then it goes in
    writer._connection.pragma("max_page_count", 1 << 30)
    writer.append(batch, {("labelled", 0): (1, 201)}, meanwhile=lambda: None)
    assert writer.label_counts(TASK) == {"x": 1, "y": 200}


@pytest.mark.parametrize("other", [SplitConfig(seed=5), SplitConfig(by="attributes.customer")])
def test_another_split_is_refused(write: Write, other: SplitConfig) -> None:
    writer = write()
    writer.append([arrival("a", "text", "x")], {})
    writer.close()
    with pytest.raises(SignatureMismatch, match=r"tasks\.support\.split\."):
        write(other)


def test_two_writers_do_not_overwrite_each_other(path: Path, write: Write) -> None:
    # Given two writers of one file, as after a lock that failed
    one, two = write(), write()
    one.append([arrival("a", "one", "x")], {("labelled", 0): (None, 1)})
    # When the second has not seen what the first did, Then it is refused
    with pytest.raises(PositionConflict):
        two.append([arrival("a", "one", "x")], {("labelled", 0): (None, 1)})
    # When it has, Then counters and log go on from there
    two.append([arrival("b", "two", "y")], {("labelled", 0): (1, 2)})
    one.append([arrival("c", "three", "y")], {("labelled", 0): (2, 3)})
    reader = SqliteBufferReader(path)
    assert reader.stats(TASK).labels == {"x": 1, "y": 2}
    assert [c.event.id for c in reader.tail(TASK, 0, 9)] == ["a", "b", "c"]
    reader.close()


def test_samples_windows_and_tail_never_scan(path: Path, write: Write) -> None:
    # Given some thousand events of twenty classes
    writer = write()
    writer.append([arrival(f"e{i}", f"text {i}", f"c{i % 20}", at=i) for i in range(5000)], {})
    reader = SqliteBufferReader(path)
    profiles: list[dict[str, Any]] = []
    reader._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profiles.append)
    # When everything is asked that is asked often
    for seed in range(3):
        for balanced in (True, False):
            assert len(reader.sample(TASK, 256, balanced=balanced, seed=seed)) == 256
            assert len(reader.sample(TASK, 256, balanced=balanced, seed=seed, before_seq=400)) == 256
        for before in (None, 400):
            assert len(reader.recent(TASK, 256, half_life=100, seed=seed, before_seq=before)) == 256
            assert len(reader.reservoir(TASK, 256, before_seq=before)) == 256
    reader.labelled(TASK, Split.TRAIN, after_seq=100, before_seq=900, limit=50)
    reader.tail(TASK, 4000, 64)
    reader.get(TASK, "e77")
    reader.stats(TASK)
    reader.last_seq(TASK)
    # Then no statement stepped through a table, or sorted one
    assert len(profiles) > 1000
    for profile in profiles:
        appended = 55 if "FROM staged" in profile["sql"] else 0  # those new ones are gone through, and nothing else
        assert profile["stmt_status"]["SQLITE_STMTSTATUS_FULLSCAN_STEP"] <= appended, profile["sql"]
        assert profile["stmt_status"]["SQLITE_STMTSTATUS_SORT"] == 0, profile["sql"]
    reader.close()


@pytest.mark.parametrize("small", [False, True])
def test_recent_and_reservoir_read_no_more_of_more(tmp_path: Path, small: bool) -> None:
    # Given 2,000 events and sixteen times as many; the task has all of them, or 500 beside another's
    steps: dict[str, list[int]] = {"recent": [], "reservoir": []}
    for count in (2000, 32000):
        path = tmp_path / f"{count}.sqlite"
        other = TaskConfig(split=SplitConfig(validation_ratio=0, holdout_ratio=0))
        writer = SqliteBufferWriter(path, {TASK: other, "other": other}, BufferConfig(), HandClock())
        own = 500 if small else count
        writer.append([arrival(f"e{i}", f"text {i}", f"c{i % 20}", at=i) for i in range(own)], {})
        rest = [arrival(f"o{i}", f"text {i}", "x", at=i, task="other") for i in range(count - own)]
        writer.append(rest, {})
        reader = SqliteBufferReader(path)
        profiles: list[dict[str, Any]] = []
        reader._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profiles.append)
        for name in steps:
            profiles.clear()
            drawn = reader.recent(TASK, 100, half_life=20, seed=0) if name == "recent" else reader.reservoir(TASK, 100)
            assert len(drawn) == 100
            steps[name].append(sum(profile["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"] for profile in profiles))
        reader.close()
        writer.close()
    # Then what is read stays the same, or grows no more than the root of the size for a small task's reservoir
    assert steps["recent"][1] <= 1.1 * steps["recent"][0]
    assert steps["reservoir"][1] <= (4.4 if small else 1.3) * steps["reservoir"][0]


def test_appends_never_scan(write: Write) -> None:
    writer = write()
    writer.append([arrival(f"e{i}", f"text {i}", f"c{i % 20}", at=i) for i in range(1000)], {})
    profiles: list[dict[str, Any]] = []
    writer._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profiles.append)
    writer.append(
        [
            *[arrival(f"e{i}", f"text {i}", "moved", at=2000 + i) for i in range(50)],
            *[arrival(f"n{i}", f"new {i}", "c3", at=3000 + i) for i in range(50)],
            *[arrival(f"w{i}", label="c3") for i in range(5)],
            *[delete(f"e{i}") for i in range(60, 70)],
        ],
        {("labelled", 0): (None, 1)},
    )
    writer.append([arrival(f"w{i}", f"waited for {i}") for i in range(5)], {("labelled", 0): (1, 2)})
    assert len(profiles) > 100
    for profile in profiles:
        appended = 55 if "FROM staged" in profile["sql"] else 0  # those new ones are gone through, and nothing else
        assert profile["stmt_status"]["SQLITE_STMTSTATUS_FULLSCAN_STEP"] <= appended, profile["sql"]


def test_erased_text_is_not_left_in_the_files(path: Path, write: Write) -> None:
    # Given an event with a text revised once, and a dead letter of it
    writer = write()
    writer.append([arrival(f"e{i}", f"text {i}", "x") for i in range(200)], {})
    writer.append([arrival("secret", "the SECRETWORD of old", "x", at=1)], {})
    writer.append([arrival("secret", "the SECRETWORD of now", "y", at=2)], {})
    files = [path, path.with_name(path.name + "-wal")]
    assert any(b"SECRETWORD" in file.read_bytes() for file in files)
    # When it is erased and every head has passed
    report = writer.append([delete("secret")], {})
    writer.maintain({TASK: report.last_seq})
    # Then no byte of it is left
    assert not any(b"SECRETWORD" in file.read_bytes() for file in files)
    assert not any(b"secret" in file.read_bytes() for file in files)


def test_another_process_reads_beside_the_writer(path: Path, write: Write) -> None:
    writer = write()
    writer.append([arrival(f"e{i}", f"text {i}", "x") for i in range(10)], {})
    code = (
        "import sys; from pathlib import Path; from daemon.buffer.sqlite import SqliteBufferReader;"
        f"r = SqliteBufferReader(Path({str(path)!r}));"
        f"print(r.stats({TASK!r}).events, len(r.sample({TASK!r}, 5, balanced=True, seed=0)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["10", "5", "False"]


def test_a_reader_cannot_write(path: Path, write: Write) -> None:
    write()
    reader = SqliteBufferReader(path)
    with pytest.raises(apsw.ReadOnlyError):
        reader._connection.execute("DELETE FROM events")
    reader.close()


def test_closing_and_opening_goes_on_numbering(path: Path, write: Write) -> None:
    # Given a log whose last change was purged
    writer = write()
    report = writer.append([arrival("a", "text", "x"), delete("a")], {})
    writer.maintain({TASK: report.last_seq})
    writer.close()
    # When the buffer is opened anew, Then no number is given twice
    assert write().append([arrival("b", "text", "x")], {}).last_seq > report.last_seq
