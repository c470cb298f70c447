"""Ingest at its budgets and without its topics: it pauses, says why, loses nothing, and goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from daemon.buffer.sqlite import SqliteBufferReader
from daemon.config.models import BufferConfig
from daemon.config.paths import StatePaths
from daemon.errors import StoreFull, StreamDenied, StreamUnavailable
from daemon.roles.troubles import PAUSING, ingest_samples, ingest_status, read_troubles
from daemon.stream.ports import OutRecord, Record, TopicPartition
from daemon.testing import MemorySink
from tests.roles.test_ingest import DLQ, IN, REQUESTS, Place

Make = Callable[..., Place]
OUTBOX = 1 << 16


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Place] = []

    def opener(limits: BufferConfig | None = None, probe_s: float = 0) -> Place:
        made.append(Place(tmp_path, limits, probe_s))
        return made[-1]

    yield opener
    for place in made:
        place.role.close()


def bad(place: Place, *numbers: int, size: int = 1500) -> None:
    place.broker.append([OutRecord(IN, b"%d " % number + b"x" * size, b"k") for number in numbers])


def dead(place: Place) -> list[int]:
    return [int((record.value or b"").split()[0]) for record in place.broker.records(DLQ)]


def told(place: Place) -> dict[str, str]:
    return {name: str(found["message"]) for name, found in read_troubles(place.root / "ingest.json").items()}


def paused(place: Place) -> set[str]:
    samples = list(ingest_samples(StatePaths(place.root), None))
    assert [labels[0] for _, labels, _ in samples] == list(PAUSING)
    return {labels[0] for _, labels, value in samples if value}


def seconds(place: Place, amount: float) -> None:
    """Let time pass as ingest does: a step every half a second."""
    for _ in range(int(amount * 2)):
        place.clock.advance(0.5)
        place.drain()


def test_a_denied_dead_letter_topic_fills_the_outbox_then_reading_pauses_and_goes_on_by_itself(make: Make) -> None:
    # Given a dead-letter topic that ingest may not write, and room for about 40 letters
    place = make(BufferConfig(outbox_max_bytes=OUTBOX))
    place.broker.denied.add(DLQ)
    bad(place, *range(30))
    place.write("a")
    # When there is room, Then events are stored and people are told why letters wait
    seconds(place, 2)
    assert place.ids() == ["a"]
    assert told(place) == {"dead_letters_wait": "dead letters cannot be written: dlq: not permitted; grant it"}
    assert paused(place) == set()
    # When there is none left, Then reading pauses and says so: topic, error and mend
    bad(place, *range(30, 60))
    seconds(place, 2)
    place.write("b")
    seconds(place, 20)
    assert place.ids() == ["a"]
    assert paused(place) == {"outbox_full"}
    assert "60 dead letters" in told(place)["outbox_full"]
    assert "dead letters cannot be written: dlq: not permitted; grant it" in told(place)["outbox_full"]
    assert place.role.paused == told(place)["outbox_full"]
    reader = SqliteBufferReader(place.root / "b.sqlite")
    status = ingest_status(StatePaths(place.root), reader)
    samples = {name: value for name, _, value in ingest_samples(StatePaths(place.root), reader)}
    reader.close()
    assert status["troubles"] == told(place)
    assert status["outbox"]["letters"] == samples["outbox_letters"] == 60
    assert samples["outbox_bytes"] >= OUTBOX
    # When a restart comes between, Then it is paused again
    place.restart()
    seconds(place, 1)
    assert (place.ids(), paused(place)) == (["a"], {"outbox_full"})
    # When it is granted, Then everything goes on: each letter once, no event lost
    place.broker.denied.clear()
    seconds(place, 10)
    assert dead(place) == list(range(60))
    assert place.ids() == ["a", "b"]
    assert (told(place), paused(place)) == ({}, set())


def test_a_paused_source_is_still_polled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make(BufferConfig(outbox_max_bytes=OUTBOX))
    place.broker.denied.add(DLQ)
    bad(place, *range(60))
    seconds(place, 1)
    poll, polls = place.source.poll, []

    def counted(max_records: int, timeout_s: float) -> Sequence[Record]:
        polls.append(timeout_s)
        return poll(max_records, timeout_s)

    monkeypatch.setattr(place.source, "poll", counted)
    seconds(place, 5)
    assert len(polls) == 10


def test_an_outage_is_logged_when_it_begins_and_ends_not_every_second(make: Make) -> None:
    place = make()
    place.broker.denied.add(DLQ)
    bad(place, 1)
    with capture_logs() as logs:
        seconds(place, 100)
        place.broker.denied.clear()
        seconds(place, 10)
    events = [entry["event"] for entry in logs if entry["event"].startswith("dead_letters_wait")]
    assert events == ["dead_letters_wait", "dead_letters_wait_over"]


def test_a_topic_that_takes_long_to_fail_leaves_events_their_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a dead-letter topic whose acknowledgements never come
    place = make()
    waited: list[tuple[float, float]] = []

    def slow(self: MemorySink, timeout_s: float) -> None:
        self._pending.clear()
        place.clock.advance(timeout_s)
        waited.append((place.clock.now(), timeout_s))
        raise StreamUnavailable("no acknowledgement")

    monkeypatch.setattr(MemorySink, "flush", slow)
    bad(place, 1)
    # When an hour passes
    began = place.clock.now()
    while place.clock.now() < began + 3600:
        seconds(place, 1)
    # Then attempts got more patience, and a quarter of the time
    assert [timeout_s for _, timeout_s in waited[:5]] == [3.0, 6.0, 12.0, 24.0, 30.0]
    assert 0.2 < sum(timeout_s for _, timeout_s in waited) / 3600 < 0.26


def test_a_letter_that_the_topic_refuses_goes_as_a_reference_and_holds_up_none(make: Make) -> None:
    # Given a dead-letter topic with a limit below ours
    place = make()
    place.broker.max_record_bytes = 1000
    bad(place, 0, size=10)
    bad(place, 1, size=1900)
    bad(place, 2, size=10)
    # When all are sent
    place.drain()
    # Then the large one is there by place, size and hash, and nothing waits
    small, other, large = place.broker.records(DLQ)
    assert [small.value, other.value, large.value] == [b"0 " + b"x" * 10, b"2 " + b"x" * 10, None]
    headers = dict(large.headers)
    assert headers["__connect.errors.offset"] == b"1"
    assert headers["retaind.size"] == b"1902"
    assert b"larger than 1000 bytes" in headers["retaind.refused"]
    assert place.buffer.outbox_size().letters == 0


def test_a_letter_that_is_refused_even_as_a_reference_stays_and_holds_up_none(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a topic that refuses whatever has no value, as a compacted one refuses what has no key
    monkeypatch.setattr("daemon.roles.letters.AT_ONCE", 1)
    place = make()
    place.broker.max_record_bytes = 1000
    refuses = place.broker.refuses
    monkeypatch.setattr(place.broker, "refuses", lambda record: record.value is None or refuses(record))
    bad(place, 1, size=1900)
    bad(place, 2, size=10)
    # When letters are sent, and more come, Then the one stays and the others go
    place.drain()
    bad(place, 3, size=10)
    seconds(place, 5)
    assert dead(place) == [2, 3]
    assert place.buffer.outbox_size().letters == 1
    # When the topic takes it after all, Then it goes within a minute
    place.broker.max_record_bytes = None
    seconds(place, 61)
    assert sorted(dead(place)) == [1, 2, 3]
    assert place.buffer.outbox_size().letters == 0


def test_a_buffer_in_which_nothing_may_go_pauses_reading(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given classes so small that they keep what they have, and a small budget that one poll does not use up
    monkeypatch.setattr("daemon.roles.ingest.MAX_RECORDS", 500)
    place = make(BufferConfig(max_bytes=1 << 20))
    long = "x" * 1500
    for number in range(0, 1500, 10):
        place.write(*(f"e{number + n}" for n in range(10)), label=f"c{number}", text=f"{long} {number}")
    # When it is used up
    place.drain()
    kept = place.ids()
    assert 500 < len(kept) < 1500
    assert paused(place) == {"buffer_full"}
    assert "raise buffer.max_bytes" in told(place)["buffer_full"]
    # Then nothing is lost: with more room it goes on, from where it stood
    place.limits = BufferConfig()
    place.restart()
    place.drain()
    assert place.ids() == [f"e{n}" for n in range(1500)]
    assert paused(place) == set()


def test_a_buffer_whose_events_may_go_is_never_in_the_way(make: Make) -> None:
    place = make(BufferConfig(max_bytes=1 << 20))
    for number in range(0, 2000, 100):
        place.write(*(f"e{number + n}" for n in range(100)), text="y" * 1500)
    place.drain()
    assert place.ids()[-1] == "e1999"
    assert (place.role.paused, place.buffer.positions()[IN, 0]) == (None, 2000)
    reader = SqliteBufferReader(place.root / "b.sqlite")
    assert reader.size_bytes() <= 1.3 * (1 << 20)
    reader.close()


def run(place: Place, until: Callable[[], bool]) -> None:
    """The role's own loop in a thread, on the real clock for its pauses, until something holds."""
    stop = threading.Event()
    thread = threading.Thread(target=place.role.run, args=(stop,))
    thread.start()
    deadline = threading.Event()
    for _ in range(400):
        if until():
            break
        deadline.wait(0.025)
    held = until()
    stop.set()
    thread.join()
    assert held
    place.start()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StreamUnavailable("no broker"), "stream_unavailable"),
        (StreamDenied("in: grant it"), "stream_denied"),
        (StoreFull("make room"), "disk_full"),
    ],
)
def test_a_stream_or_disk_that_is_away_is_told_by_its_reason_and_tried_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    # Given a stream, or a disk, that fails a few times
    place, failures = make(), iter([error, error])
    seen: list[dict[str, str]] = []
    step = place.role.step
    step()

    def failing(timeout_s: float = 0.0) -> bool:
        if (found := next(failures, None)) is not None:
            place.source.poll(10, 0.0)  # what was read already must be read again
            raise found
        seen.append(told(place))
        return step(0.01)

    monkeypatch.setattr(place.role, "step", failing)
    place.write("a")
    # When the role runs
    with capture_logs() as logs:
        run(place, lambda: len(seen) > 2)
    # Then it was told while it lasted, logged once as it began and once as it ended, and all was read
    assert seen[0] == {reason: str(error)}
    assert [entry["event"] for entry in logs if entry["event"].startswith(reason)] == [reason, f"{reason}_over"]
    assert told(place) == {}
    assert place.ids() == ["a"]


def test_a_probe_is_timed_and_leaves_nothing(make: Make) -> None:
    # Given a probe every ten seconds
    place = make(probe_s=10)
    # When 25 seconds pass, and one more probe is stored two seconds after it was produced
    seconds(place, 25)
    place.broker.append([OutRecord(REQUESTS, None, b"p", (("retaind.probe", b"%f" % (place.clock.now() - 2)),))])
    place.drain()
    # Then each was timed, and none is an event or a dead letter
    measured = [(metric, labels["stage"], round(value, 1)) for metric, value, labels in place.observer.measured]
    assert measured == [("probe_seconds", "stored", 0.5)] * 3 + [("probe_seconds", "stored", 2.0)]
    assert (place.ids(), place.broker.records(DLQ)) == ([], [])
    assert place.buffer.positions()[REQUESTS, 0] == 4


def test_a_probe_that_cannot_be_written_is_in_nobodys_way(make: Make) -> None:
    place = make(probe_s=1)
    place.broker.max_record_bytes = 10
    with capture_logs() as logs:
        seconds(place, 5)
    assert [entry["event"] for entry in logs] == ["placed", "placed", "probe_failed"]
    place.broker.max_record_bytes = None
    place.write("a")
    seconds(place, 1)
    assert place.ids() == ["a"]
    assert place.source.bounds(TopicPartition(REQUESTS, 0)) == (0, 1)
