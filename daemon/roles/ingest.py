"""The ingest role: records of the stream into the buffer. Never imports torch.

Guarantees:

1. poll → one buffer transaction (events, next positions, dead letters, identities) → advisory commit →
   dead letters sent, flushed, and only then taken out of the outbox.
2. Reading starts at the buffer's positions; what lies below them is dropped, what is missing is an alarm
   (``records_lost`` in the log, ``ingest_lost_records_total``), a recreated topic is refused.
3. A record is in the buffer or on its way to the dead-letter topic; a full disk makes ingest wait, not lose.
4. A dead-letter topic that cannot be reached does not stop events, until the outbox is full.
5. Where the buffer's or the outbox's budget is used up reading pauses: polls go on and bring nothing, so that the
   source keeps its partitions. It goes on by itself when there is room. Each pause says why
   (``daemon.roles.troubles``).
6. Behind a large poll the next one is read and sorted while it is being written and synced: one, no more. It is
   stored after it, or dropped and read again: where that one failed, and where partitions were dealt anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from daemon.buffer.ports import AppendReport, BufferWriter, DeadLetter, Partition
from daemon.clock import Clock
from daemon.config.task import Labels
from daemon.errors import Rebalanced, StoreFull, StreamDenied, StreamUnavailable
from daemon.observe import Observer
from daemon.process import without_collection
from daemon.roles.ahead import Ahead
from daemon.roles.letter import place_text
from daemon.roles.letters import Letters
from daemon.roles.placing import Placing
from daemon.roles.probe import Probe
from daemon.roles.reading import Read, Reading
from daemon.roles.troubles import Troubles
from daemon.stream.decoders import Decoder
from daemon.stream.ports import Sink, Source, TopicPartition
from daemon.tasks.base import TaskSchema

log = structlog.get_logger(__name__)

MAX_RECORDS = 10_000
LARGE = 1000
"""Records of a poll that take so long to store that reading the next one beside it pays."""
COMMIT_S = 1.0
POLL_S = 0.2
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 5.0
MAINTAIN_S = 30.0
REASONS = ((StreamDenied, "stream_denied"), (StreamUnavailable, "stream_unavailable"), (StoreFull, "disk_full"))
"""An ordinary trouble of stream or disk -> what it is called; the first that fits."""
NO_ROOM = (
    "reading paused: the buffer is a quarter over buffer.max_bytes and no event may go (each class keeps its last "
    "ten); raise buffer.max_bytes and start ingest again"
)


class IngestRole:
    """``decoders`` by topic, ``schemas`` by task. ``passed`` gives, per task, the change that every kept
    HeadState has passed (see ``BufferWriter.maintain``). ``labels``: the label policy by task (none: any).
    ``connector`` names the writer in dead letters, ``outbox_max_bytes`` is what may wait of them."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        buffer: BufferWriter,
        *,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        clock: Clock,
        observer: Observer,
        dead_letter_topic: str,
        max_record_bytes: int,
        passed: Callable[[], Mapping[str, int]],
        labels: Mapping[str, Labels] | None = None,
        connector: str = "retaind",
        outbox_max_bytes: int = 1 << 30,
        troubles: Troubles | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._source, self._sink, self._buffer = source, sink, buffer
        self._clock, self._observer = clock, observer
        self._probe, self._passed = probe, passed
        self._troubles = troubles or Troubles(clock)
        self._letters = Letters(
            buffer,
            sink,
            self._troubles,
            clock,
            topic=dead_letter_topic,
            connector=connector,
            max_bytes=outbox_max_bytes,
        )
        self._placing = Placing(source, buffer, observer)
        self._reading = Reading(self._placing, buffer, decoders, schemas, labels or {}, max_record_bytes)
        self._ahead = Ahead(self._read)
        self._maintained = clock.monotonic()
        self._committed = -COMMIT_S
        self._uncommitted: dict[TopicPartition, int] = {}
        self.paused: str | None = None
        """Why the budgets let nothing be read."""

    def run(self, stop: threading.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Step until ``stop``. What is outside the stream's and the disk's ordinary troubles is raised.

        ``ready`` is called after the first step without one: until then nothing was read or written.
        """
        retry_s, is_ready = FIRST_RETRY_S, False
        while not stop.is_set():
            try:
                self.step(POLL_S)
                if not is_ready:
                    ready()
                retry_s, is_ready = FIRST_RETRY_S, True
            except Rebalanced as error:
                log.info("rebalanced", error=str(error))
                self._rewind()
            except (StreamUnavailable, StoreFull) as error:
                reason = next(name for kind, name in REASONS if isinstance(error, kind))
                self._troubles.set(reason, str(error))
                self._rewind()
                stop.wait(retry_s)
                retry_s = min(LONGEST_RETRY_S, retry_s * 2)
        self.close()

    def step(self, timeout_s: float = 0.0) -> bool:
        """One poll, or the one read ahead, and all that follows from it; whether there was anything to do.

        Raises StoreFull (nothing was stored; the next step reads the same records again), StreamUnavailable,
        TopicRecreated, PositionConflict (another writer moved the positions).
        """
        if self._placing.refresh():  # what was read ahead may be of a partition that went
            self._rewind()
            self._placing.refresh()
        self._pause_or_resume()
        with without_collection():
            ahead = None if self.paused else self._ahead.take()
            stored = self._store(ahead or self._read(timeout_s))
        self._commit()
        sent = self._letters.send()
        self._maintain()
        if self._probe is not None and self.paused is None:
            self._probe.step()
        return stored or sent

    def _pause_or_resume(self) -> None:
        """By the budgets. A full disk does not pause here: each poll is an attempt to store."""
        full, no_room = self._letters.full(), self._no_room()
        self._troubles.set("outbox_full", full)
        self._troubles.set("buffer_full", no_room)
        paused = full or no_room
        if bool(paused) != bool(self.paused):
            (self._source.pause if paused else self._source.resume)()
        self.paused = paused

    def _no_room(self) -> str | None:
        try:
            room = self._buffer.make_room()
        except StoreFull as error:
            return f"reading paused: old events have to go, and {error}"
        return None if room else NO_ROOM

    def _rewind(self) -> None:
        """Read on from what is stored."""
        self._ahead.drop()
        self._placing.rewind()

    def close(self) -> None:
        self._troubles.clear()
        self._source.close()
        self._sink.close()
        self._buffer.close()

    def _read(self, timeout_s: float) -> Read:
        records = self._source.poll(MAX_RECORDS, timeout_s)
        for reason in ("stream_denied", "stream_unavailable"):
            self._troubles.set(reason, None)
        return self._reading.sort(records)

    def _store(self, read: Read) -> bool:
        """Whether there was anything. Where that fails all places are forgotten: read on from what is stored."""
        if not read.ends:
            return False
        positions: dict[Partition, tuple[int | None, int]] = {
            partition: (self._placing.stored.get(partition), end) for partition, end in read.ends.items()
        }
        identities = self._placing.new_identities
        meanwhile = self._ahead.fetch if len(read.arrivals) + len(read.letters) >= LARGE else None
        try:
            report = self._buffer.append(read.arrivals, positions, read.letters, identities, meanwhile)
        except BaseException:
            self._rewind()
            raise
        self._placing.stored.update(read.ends)
        self._placing.new_identities.clear()
        self._troubles.set("disk_full", None)
        if read.letters:
            self._letters.came()
        self._count(report, read.letters)
        for produced in read.probes:
            self._observer.measure("probe_seconds", max(0.0, self._clock.now() - produced), stage="stored")
        self._uncommitted.update(read.ends)
        self._ahead.check()
        return True

    def _commit(self) -> None:
        """At most once a second, for lag seen by others; the buffer's positions are what counts."""
        now = self._clock.monotonic()
        if not self._uncommitted or now - self._committed < COMMIT_S:
            return
        self._committed, ends, self._uncommitted = now, self._uncommitted, {}
        try:
            self._source.commit(ends)
        except (StreamUnavailable, StoreFull) as error:
            self._troubles.set("commit_failed", str(error))
        else:
            self._troubles.set("commit_failed", None)

    def _maintain(self) -> None:
        now = self._clock.monotonic()
        if now - self._maintained < MAINTAIN_S:
            return
        self._maintained = now
        try:
            self._buffer.maintain(self._passed())
        except (StoreFull, OSError) as error:
            log.warning("maintenance_failed", error=str(error))

    def _count(self, report: AppendReport, letters: Sequence[DeadLetter]) -> None:
        for (task, outcome), amount in report.outcomes.items():
            self._observer.count("events_total", amount, task=task, outcome=outcome)
        by_reason: dict[str, list[DeadLetter]] = {}
        for letter in letters:
            by_reason.setdefault(letter.reason, []).append(letter)
        for reason, its in by_reason.items():
            self._observer.count("dead_letters_total", len(its), reason=reason)
            log.warning("dead_letters", reason=reason, count=len(its), first=place_text(its[0].origin))
