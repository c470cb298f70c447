"""What every pair of Source and Sink must do."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

import pytest

from daemon.errors import RecordRefused, StreamDenied, StreamError
from daemon.stream.ports import OutRecord, Record, Sink, Source, TopicPartition

PARTITIONS = 3


class StreamContract(ABC):
    """``make_source`` and ``make_sink`` open another end of one and the same stream at each call."""

    topic = "t"
    patience_s = 0.0
    """How long what was written may take to be read."""

    @pytest.fixture(autouse=True)
    def _ends(self) -> None:
        self.opened: list[Source | Sink] = []

    @abstractmethod
    def make_source(self, group: str) -> Source:
        """Reads ``self.topic``, which has PARTITIONS partitions."""

    @abstractmethod
    def make_sink(self) -> Sink: ...

    def source(self, group: str) -> Source:
        """One that has its partitions."""
        source = self.make_source(group)
        deadline = time.monotonic() + 30
        while not source.assignment() and time.monotonic() < deadline:
            source.poll(1, 0.1)
        return source

    def write(self, *values: bytes, key: bytes | None = b"k") -> None:
        sink = self.make_sink()
        sink.send([OutRecord(self.topic, value, key) for value in values])
        sink.flush(5.0)
        sink.close()

    def read(self, source: Source, count: int) -> list[Record]:
        """The next ``count`` records; that no others follow is seen for as long as patience lasts."""
        found: list[Record] = []
        deadline = time.monotonic() + 30
        while (records := source.poll(2, self.patience_s)) or (len(found) < count and time.monotonic() < deadline):
            assert len(records) <= 2
            found += records
        assert len(found) == count
        return found

    def test_what_was_flushed_is_read_as_it_was_written(self) -> None:
        # Given a record with everything, and one with nothing
        source, sink = self.source("g"), self.make_sink()
        full = OutRecord(self.topic, b"\x00v", b"key", (("a", b"\xff"), ("a", b"")), 1234.5)
        # When they are sent and flushed
        sink.send([full, OutRecord(self.topic, None, b"key")])
        sink.flush(5.0)
        # Then they come in order, with their places
        first, second = self.read(source, 2)
        assert (first.value, first.key, first.headers, first.timestamp) == (
            full.value,
            full.key,
            full.headers,
            full.timestamp,
        )
        assert (second.value, second.headers, second.offset) == (None, (), first.offset + 1)
        assert abs(second.timestamp - time.time()) < 60
        source.close()
        sink.close()

    def test_a_key_stays_in_one_partition_and_in_order(self) -> None:
        source = self.source("g")
        for number in range(30):
            self.write(b"%d" % number, key=b"k%d" % (number % 7))
        records = self.read(source, 30)
        assert len({r.partition for r in records}) > 1
        for key in {r.key for r in records}:
            its = [r for r in records if r.key == key]
            assert len({r.partition for r in its}) == 1
            assert [int(r.value or b"") for r in its] == sorted(int(r.value or b"") for r in its)
        source.close()

    def test_seek_reads_again_from_there(self) -> None:
        source = self.source("g")
        self.write(b"0", b"1", b"2")
        records = self.read(source, 3)
        partition = TopicPartition(self.topic, records[0].partition)
        source.seek(partition, records[1].offset)
        assert [r.value for r in self.read(source, 2)] == [b"1", b"2"]
        assert source.bounds(partition) == (0, 3)
        source.close()

    def test_positions_are_kept_per_group(self) -> None:
        one = self.source("one")
        partition = TopicPartition(self.topic, 0)
        assert one.committed(partition) is None
        one.commit({partition: 5})
        one.close()
        again, other = self.source("one"), self.source("other")
        assert again.committed(partition) == 5
        assert other.committed(partition) is None
        again.close()
        other.close()

    def test_a_waiting_poll_wakes_at_once(self) -> None:
        source = self.source("g")
        written: list[float] = []

        def later() -> None:
            time.sleep(0.1)
            self.write(b"x")
            written.append(time.monotonic())

        thread = threading.Thread(target=later)
        thread.start()
        records = source.poll(10, 5.0)
        woke = time.monotonic()
        thread.join()
        assert [r.value for r in records] == [b"x"]
        assert woke - written[0] < 0.5
        source.close()

    def test_an_empty_poll_waits_its_timeout(self) -> None:
        source = self.source("g")
        start = time.monotonic()
        assert list(source.poll(10, 0.1)) == []
        assert time.monotonic() - start >= 0.09
        source.close()

    def test_assignment_and_identities_name_what_is_read(self) -> None:
        one, two = self.source("g"), self.source("h")
        assert sorted(one.assignment()) == [TopicPartition(self.topic, n) for n in range(PARTITIONS)]
        assert set(one.identities()) == {self.topic}
        assert one.identities() == two.identities()
        with pytest.raises(StreamError, match="not among"):
            one.seek(TopicPartition("other", 0), 0)
        one.close()
        two.close()

    def test_threads_that_write_at_once_lose_nothing(self) -> None:
        source, sink = self.source("g"), self.make_sink()

        def produce(thread: int) -> None:
            for number in range(20):
                sink.send([OutRecord(self.topic, b"%d-%d" % (thread, number), b"%d" % thread)])
                sink.flush(10.0)

        threads = [threading.Thread(target=produce, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        values = [r.value for r in self.read(source, 80)]
        assert sorted(values, key=str) == sorted((b"%d-%d" % (t, n) for t in range(4) for n in range(20)), key=str)
        source.close()
        sink.close()

    def test_a_paused_source_brings_nothing_and_goes_on_where_it_stood(self) -> None:
        # Given a source that has read one record, and is paused
        source = self.source("g")
        self.write(b"0")
        assert [r.value for r in source.poll(10, 5.0)] == [b"0"]
        source.pause()
        source.pause()
        # When more is written, Then polls wait their time out and bring nothing
        self.write(b"1", b"2")
        start = time.monotonic()
        assert list(source.poll(10, 0.1)) == []
        assert time.monotonic() - start >= 0.09
        # When it is resumed, Then nothing is missing
        source.resume()
        assert [r.value for r in self.read(source, 2)] == [b"1", b"2"]
        source.close()

    def test_a_place_that_was_sought_while_paused_holds_afterwards(self) -> None:
        source = self.source("g")
        self.write(b"0", b"1", b"2")
        records = self.read(source, 3)
        source.pause()
        source.seek(TopicPartition(self.topic, records[0].partition), records[2].offset)
        assert list(source.poll(10, 0.0)) == []
        source.resume()
        assert [r.value for r in self.read(source, 1)] == [b"2"]
        source.close()


class LimitContract(StreamContract):
    """For streams that limit the size of a record."""

    @abstractmethod
    def limit(self, max_bytes: int) -> None:
        """A record of ``self.topic`` with a larger value is refused from now on."""

    def test_a_refused_record_is_named_and_the_others_are_written(self) -> None:
        # Given a topic with a limit
        source, sink = self.source("g"), self.make_sink()
        self.limit(10_000)
        small, large = OutRecord(self.topic, b"small", b"k"), OutRecord(self.topic, b"x" * 20_000, b"k")
        # When a record over it is among others
        sink.send([small, large, small])
        with pytest.raises(RecordRefused, match=self.topic) as refused:
            sink.flush(10.0)
        # Then it is named, what else was sent is there, and the sink goes on
        assert list(refused.value.records) == [large]
        sink.send([OutRecord(self.topic, b"later", b"k")])
        sink.flush(10.0)
        assert [record.value for record in self.read(source, 3)] == [b"small", b"small", b"later"]
        source.close()
        sink.close()


class DenialContract(StreamContract):
    """For streams that have permissions."""

    @abstractmethod
    def deny(self) -> None:
        """Neither reading nor writing of ``self.topic`` is permitted from now on."""

    def test_what_is_not_permitted_is_said_by_topic(self) -> None:
        source, sink = self.source("g"), self.make_sink()
        self.deny()
        with pytest.raises(StreamDenied, match=rf"{self.topic}.*grant"):
            source.poll(10, 5.0)
        sink.send([OutRecord(self.topic, b"x", b"k")])
        with pytest.raises(StreamDenied, match=rf"{self.topic}.*grant"):
            sink.flush(10.0)
        source.close()
        sink.close()
