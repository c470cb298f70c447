"""Reading ahead of what is being stored: each event once and in order, whatever fails in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pytest

from daemon.buffer.sqlite import SqliteBufferWriter
from daemon.errors import StoreFull, StreamUnavailable
from daemon.roles import ingest
from daemon.roles.ahead import Ahead
from daemon.roles.reading import Read
from daemon.stream.ports import OutRecord, Record, TopicPartition
from daemon.testing import MemorySource
from tests.roles.test_ingest import IN, REQUESTS, Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Polls of three records, each read ahead of the one before."""
    monkeypatch.setattr(ingest, "MAX_RECORDS", 3)
    monkeypatch.setattr(ingest, "LARGE", 3)
    made = Place(tmp_path)
    yield made
    made.role.close()


def positions(place: Place) -> Mapping[tuple[str, int], int]:
    return dict(place.buffer.positions())


def test_a_poll_is_read_while_the_one_before_is_stored(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given seven events, and a stream that notes what is stored when it is asked
    place.write(*"abcdefg")
    stored: list[int] = []
    poll = MemorySource.poll

    def noting(self: MemorySource, max_records: int, timeout_s: float) -> Sequence[Record]:
        stored.append(sum(place.buffer.label_counts("support").values()))
        return poll(self, max_records, timeout_s)

    monkeypatch.setattr(MemorySource, "poll", noting)
    # When one step stores three
    place.role.step()
    # Then the next three are read, and known labels were those with the three; they are not stored before the next one
    assert stored == [0, 3]
    assert place.ids() == list("abc")
    place.drain()
    assert place.ids() == list("abcdefg")
    assert positions(place) == {(IN, 0): 7}
    assert place.observer.counts["events_total", "support", "stored"] == 7


def test_what_was_read_ahead_of_a_failed_append_is_read_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an append that fails after the next poll was read
    place.write(*"abcdefgh")

    def failing(self: SqliteBufferWriter, *args: object) -> None:
        *_, meanwhile = args
        assert callable(meanwhile)
        meanwhile()
        raise StoreFull("full; make room")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteBufferWriter, "append", failing)
        with pytest.raises(StoreFull):
            place.role.step()
    assert place.ids() == []
    # When there is room, Then all of it is stored, once and in order
    place.drain()
    assert place.ids() == list("abcdefgh")
    assert place.observer.counts["events_total", "support", "stored"] == 8


def test_an_error_of_reading_ahead_is_raised_after_what_was_stored_counts(place: Place) -> None:
    # Given a broker that goes down while three events are being stored
    place.write(*"abcdef")
    fetch = place.role._ahead.fetch

    def down() -> None:
        place.broker.down = True
        fetch()

    place.role._ahead.fetch = down  # type: ignore[method-assign]
    with pytest.raises(StreamUnavailable):
        place.role.step()
    # Then they are stored and counted
    assert place.ids() == list("abc")
    assert place.observer.counts["events_total", "support", "stored"] == 3
    # When it is back, Then ingest goes on behind them
    place.role._ahead.fetch = fetch  # type: ignore[method-assign]
    place.broker.down = False
    place.drain()
    assert place.ids() == list("abcdef")
    assert place.observer.counts["events_total", "support", "stored"] == 6


def test_revisions_and_erasures_hold_from_one_poll_to_the_next(place: Place) -> None:
    # Given events that the next poll revises and erases
    place.write("a", "b", "c")
    place.write("a", label="y")
    place.broker.append([OutRecord(IN, orjson.dumps({"id": "b", "task": "support", "op": "delete"}), b"k")])
    place.write("d", "b")
    # When both are ingested, one read ahead
    place.drain()
    # Then they came in order
    assert place.ids() == ["a", "c", "d"]
    counts = place.observer.counts
    assert (counts["events_total", "support", "revision"], counts["events_total", "support", "erased"]) == (1, 1)
    assert counts["events_total", "support", "ignored"] == 1
    assert dict(place.buffer.label_counts("support")) == {"x": 2, "y": 1}


def test_a_pause_holds_what_was_read_ahead(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write(*"abcdefg")
    place.role.step()
    with monkeypatch.context() as patch:
        patch.setattr(place.buffer, "make_room", lambda: False)
        for _ in range(3):
            place.role.step()
        assert place.ids() == list("abc")
        assert place.role.paused
    place.drain()
    assert place.ids() == list("abcdefg")


def test_what_was_read_ahead_of_a_partition_that_went_is_dropped(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given three requests read ahead
    place.write("a", "b", "c")
    place.write("r", "s", "t", topic=REQUESTS)
    place.role.step()
    # When their partition is another's, Then nothing of it is stored
    with monkeypatch.context() as patch:
        patch.setattr(place.source, "assignment", lambda: [TopicPartition(IN, 0)])
        patch.setattr(place.source, "poll", lambda *_: [])
        place.drain()
    assert positions(place) == {(IN, 0): 3}
    # When it comes back, Then it is read from what is stored
    place.drain()
    assert place.ids() == ["a", "b", "c", "r", "s", "t"]
    assert positions(place) == {(IN, 0): 3, (REQUESTS, 0): 3}


def test_what_was_read_ahead_of_the_end_is_stored_by_the_next_process(place: Place) -> None:
    place.write(*"abcde")
    place.role.step()
    place.restart()
    place.drain()
    assert place.ids() == list("abcde")
    assert place.observer.counts["events_total", "support", "duplicate"] == 0


def test_a_small_poll_is_stored_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("read ahead of two records")

    monkeypatch.setattr(place.role._ahead, "fetch", never)
    place.write("a", "b")
    threads = threading.active_count()
    place.drain()
    assert place.ids() == ["a", "b"]
    assert threading.active_count() == threads


def held(*ends: int) -> Callable[[float], Read]:
    return lambda timeout_s: Read([], [], [], {TopicPartition(IN, n): n for n in ends})


def test_what_is_held_is_given_once_and_an_empty_poll_is_none() -> None:
    ahead, empty = Ahead(held(5)), Ahead(held())
    ahead.fetch()
    empty.fetch()
    assert ahead.take() is not None
    assert ahead.take() is None
    assert empty.take() is None
