"""The ingest role against a real buffer and a stream in memory."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pytest

from daemon.buffer.ports import AppendReport, Arrival, DeadLetter, Partition
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import TaskConfig
from daemon.errors import StoreFull, StreamUnavailable, TopicRecreated
from daemon.observe import NullObserver
from daemon.roles.ingest import IngestRole
from daemon.roles.probe import Probe
from daemon.roles.troubles import Troubles
from daemon.stream.decoders import get_decoder
from daemon.stream.ports import OutRecord, TopicPartition
from daemon.tasks.schema import get_schema
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource

IN, REQUESTS, DLQ = "in", "requests", "dlq"


class Counting(NullObserver):
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.measured: list[tuple[str, float, Mapping[str, str]]] = []

    def count(self, metric: str, amount: float = 1, **labels: str) -> None:
        self.counts[metric, *labels.values()] += int(amount)

    def measure(self, metric: str, value: float, **labels: str) -> None:
        self.measured.append((metric, value, labels))


class Moody(SqliteBufferWriter):
    """A buffer whose disk is full while ``full`` is set; remembers what maintain was told."""

    full = False
    told: Mapping[str, int] | None = None

    def append(
        self,
        arrivals: Sequence[Arrival],
        positions: Mapping[Partition, tuple[int | None, int]],
        dead_letters: Sequence[DeadLetter] = (),
        identities: Mapping[str, str] | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> AppendReport:
        if self.full:
            raise StoreFull("full; make room")
        return super().append(arrivals, positions, dead_letters, identities, meanwhile)

    def maintain(self, passed: Mapping[str, int]) -> None:
        self.told = passed
        super().maintain(passed)


class Place:
    def __init__(self, root: Path, limits: BufferConfig | None = None, probe_s: float = 0) -> None:
        self.root, self.clock, self.observer, self.broker = root, FakeClock(1e9), Counting(), MemoryBroker()
        self.limits, self.probe_s = limits or BufferConfig(), probe_s
        self.start()

    def start(self) -> None:
        """A new process: nothing but the buffer's file and the broker is kept."""
        tasks = {"support": TaskConfig()}
        self.buffer = Moody(self.root / "b.sqlite", tasks, self.limits, self.clock)
        self.source, sink = MemorySource(self.broker, [IN, REQUESTS], "g"), MemorySink(self.broker)
        self.role = IngestRole(
            self.source,
            sink,
            self.buffer,
            decoders={IN: get_decoder(), REQUESTS: get_decoder()},
            schemas={"support": get_schema("sequence")},
            clock=self.clock,
            observer=self.observer,
            dead_letter_topic=DLQ,
            max_record_bytes=2000,
            passed=lambda: {"support": 7},
            outbox_max_bytes=self.limits.outbox_max_bytes,
            connector="group",
            troubles=Troubles(self.clock, self.root / "ingest.json"),
            probe=Probe(sink, self.clock, REQUESTS, "support", self.probe_s),
        )

    def restart(self) -> None:
        self.role.close()
        self.start()

    def write(self, *ids: str, topic: str = IN, headers: tuple[tuple[str, bytes], ...] = (), **more: str) -> None:
        base = {"task": "support", "time": "2026-01-01T00:00:00Z", "text": "hello", "label": "x"}
        lines = [orjson.dumps({**base, "id": name, **more}) for name in ids]
        self.broker.append([OutRecord(topic, line, b"k", headers, 5.0) for line in lines])

    def drain(self) -> None:
        while self.role.step():
            pass

    def ids(self) -> list[str]:
        reader = SqliteBufferReader(self.root / "b.sqlite")
        try:
            return [event.id for event in reader.export()]
        finally:
            reader.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.role.close()


def test_events_are_stored_once_and_reading_goes_on_after_a_restart(place: Place) -> None:
    place.write("a", "b")
    place.drain()
    place.restart()
    place.write("c", "a")
    place.drain()
    assert place.ids() == ["a", "b", "c"]
    assert place.buffer.positions()[IN, 0] == 4
    assert place.observer.counts["events_total", "support", "stored"] == 3
    assert place.observer.counts["events_total", "support", "duplicate"] == 1
    place.broker.append([OutRecord(IN, b"nonsense") for _ in range(3)])
    place.drain()
    assert place.observer.counts["dead_letters_total", "not_json"] == 3


def test_what_is_no_event_goes_to_the_dead_letter_topic_as_it_was(place: Place) -> None:
    # Given bad records among good ones
    place.broker.append([OutRecord(IN, b"nonsense", b"key", (("mine", b"1"),), 5.0), OutRecord(IN, b"x" * 3000, b"k")])
    place.write("other", task="nobody")
    place.write("good")
    # When they are ingested
    place.drain()
    # Then the good one is stored, and the others are in the topic with Kafka Connect's headers
    bad, large, unknown = place.broker.records(DLQ)
    headers = dict(bad.headers)
    assert (bad.key, bad.value, bad.timestamp, headers["mine"]) == (b"key", b"nonsense", 5.0, b"1")
    assert headers["__connect.errors.topic"] == b"in"
    assert headers["__connect.errors.partition"] == b"0"
    assert headers["__connect.errors.offset"] == b"0"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert headers["__connect.errors.connector.name"] == b"group"
    assert headers["__connect.errors.class.name"] == b"daemon.stream.json_form.JsonEvents"
    assert headers["__connect.errors.exception.class.name"] == b"daemon.errors.DecodeError"
    assert b"not JSON" in headers["__connect.errors.exception.message"]
    assert large.value is None
    assert dict(large.headers)["retaind.size"] == b"3000"
    assert len(dict(large.headers)["retaind.sha256"]) == 64
    assert dict(unknown.headers)["retaind.reason"] == b"unknown_task"
    assert place.ids() == ["good"]
    assert list(place.buffer.outbox(10)) == []


def test_dead_letters_wait_for_their_topic_and_events_do_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MemorySink, timeout_s: float) -> None:
        self._pending.clear()
        raise StreamUnavailable("gone")

    # Given a dead-letter topic that cannot be reached
    place.broker.append([OutRecord(IN, b"nonsense")])
    with monkeypatch.context() as patch:
        patch.setattr(MemorySink, "flush", refuse)
        place.write("a")
        place.drain()
        assert place.ids() == ["a"]
        assert len(place.buffer.outbox(10)) == 1
    # When it is back, after a restart too
    place.restart()
    place.drain()
    # Then the letter is there, once
    assert [r.value for r in place.broker.records(DLQ)] == [b"nonsense"]


def test_a_full_disk_makes_ingest_wait_and_loses_nothing(place: Place) -> None:
    place.write("a", "b")
    place.buffer.full = True
    for _ in range(3):
        with pytest.raises(StoreFull):
            place.role.step()
    place.write("c")
    place.buffer.full = False
    place.drain()
    assert place.ids() == ["a", "b", "c"]


def test_records_that_are_gone_are_an_alarm(place: Place) -> None:
    place.write("a")
    place.drain()
    place.write("b", "c", "d")
    place.broker.trim(TopicPartition(IN, 0), 3)
    place.restart()
    place.drain()
    assert place.ids() == ["a", "d"]
    assert place.observer.counts["ingest_lost_records_total", IN] == 2


def test_records_that_go_while_ingest_runs_are_an_alarm_too(place: Place) -> None:
    place.write("a")
    place.drain()
    place.write("b", "c")
    place.broker.trim(TopicPartition(IN, 0), 2)
    place.drain()
    assert place.ids() == ["a", "c"]
    assert place.observer.counts["ingest_lost_records_total", IN] == 1


def test_a_recreated_topic_is_refused(place: Place) -> None:
    place.write("a")
    place.drain()
    place.broker.recreate(IN)
    place.restart()
    with pytest.raises(TopicRecreated, match=r"in: is memory:.*belong to memory:"):
        place.role.step()


def test_an_answered_request_is_an_ordinary_event(place: Place) -> None:
    line = orjson.dumps({"id": "r", "task": "support", "time": "2026-01-01T00:00:00Z", "text": "hi"})
    place.broker.append([OutRecord(REQUESTS, line, b"r", (("retaind.answered", b"http"),))])
    place.drain()
    assert place.ids() == ["r"]


def test_the_buffer_is_maintained_with_what_the_heads_have_passed(place: Place) -> None:
    place.role.step()
    assert place.buffer.told is None
    place.clock.advance(31)
    place.role.step()
    assert place.buffer.told == {"support": 7}


def test_ingest_never_imports_torch() -> None:
    code = (
        "import sys, daemon.roles.ingest, daemon.roles.lock, daemon.stream.embedded; "
        "import daemon.buffer.sqlite, daemon.health; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
