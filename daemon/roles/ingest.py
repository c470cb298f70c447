"""The ingest role: records of the stream into the buffer. Never imports torch.

Guarantees:

1. poll → one buffer transaction (events, next positions, dead letters, identities) → advisory commit →
   dead letters sent, flushed, and only then taken out of the outbox.
2. Reading starts at the buffer's positions; what lies below them is dropped, what is missing is an alarm
   (``records_lost`` in the log, ``ingest_lost_records_total``), a recreated topic is refused.
3. A record is in the buffer or on its way to the dead-letter topic; a full disk makes ingest wait, not lose.
4. A dead-letter topic that cannot be reached does not stop events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from daemon.buffer.ports import AppendReport, Arrival, BufferWriter, DeadLetter, Partition, label_text
from daemon.clock import Clock
from daemon.config.task import Labels
from daemon.errors import StoreFull, StreamUnavailable
from daemon.events import Event, Op
from daemon.observe import Observer
from daemon.roles.dead_letters import out_record
from daemon.roles.placing import Placing
from daemon.roles.sorting import Sorting
from daemon.stream.decoders import Decoder
from daemon.stream.ports import Record, Sink, Source, TopicPartition
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import admit

log = structlog.get_logger(__name__)

MAX_RECORDS = 500
OUTBOX_AT_ONCE = 100
POLL_S = 0.2
FLUSH_S = 10.0
RETRY_S = 1.0
MAINTAIN_S = 30.0


class IngestRole:
    """``decoders`` by topic, ``schemas`` by task. ``passed`` gives, per task, the change that every kept
    HeadState has passed (see ``BufferWriter.maintain``). ``labels``: the label policy by task (none: any)."""

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
    ) -> None:
        self._source, self._sink, self._buffer = source, sink, buffer
        self._clock, self._observer = clock, observer
        self._dead_letter_topic, self._passed = dead_letter_topic, passed
        self._sorting = Sorting(decoders, schemas, max_record_bytes, self._admit)
        self._labels = labels or {}
        self._known_labels: dict[str, dict[str, int]] = {}  # as of this poll
        self._placing = Placing(source, buffer, observer)
        self._letters_waiting = True  # a former process may have left some
        self._letters_after = self._maintained = clock.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Step until ``stop``. What is outside the stream's and the disk's ordinary troubles is raised."""
        while not stop.is_set():
            try:
                self.step(POLL_S)
            except StreamUnavailable as error:
                log.warning("stream_unavailable", error=str(error))
                self._placing.rewind()
                stop.wait(RETRY_S)
            except StoreFull as error:
                log.error("store_full", error=str(error))
                stop.wait(RETRY_S)
        self.close()

    def step(self, timeout_s: float = 0.0) -> bool:
        """One poll and all that follows from it; whether there was anything to do.

        Raises StoreFull (nothing was stored; the next step reads the same records again), StreamUnavailable,
        TopicRecreated, PositionConflict (another writer moved the positions).
        """
        self._placing.refresh()
        records = self._source.poll(MAX_RECORDS, timeout_s)
        stored = self._store(records)
        sent = self._send_letters()
        self._maintain()
        return stored or sent

    def _admit(self, event: Event) -> None:
        policy = self._labels.get(event.task)
        if policy is not None and event.label is not None and event.op is Op.UPSERT:
            if event.task not in self._known_labels:
                self._known_labels[event.task] = dict(self._buffer.label_counts(event.task))
            known = self._known_labels[event.task]
            admit(event.label, known, policy)
            known.setdefault(label_text(event.label), 1)

    def close(self) -> None:
        self._source.close()
        self._sink.close()
        self._buffer.close()

    def _store(self, records: Sequence[Record]) -> bool:
        arrivals: list[Arrival] = []
        letters: list[DeadLetter] = []
        self._known_labels.clear()
        ends: dict[TopicPartition, int] = {}
        for record in records:
            if self._placing.seen(record):
                continue
            partition = TopicPartition(record.topic, record.partition)
            ends[partition] = self._placing.next[partition] = record.offset + 1
            sorted_ = self._sorting.sort(record)
            if isinstance(sorted_, DeadLetter):
                letters.append(sorted_)
            else:
                arrivals.append(sorted_)
        if not ends:
            return False
        positions: dict[Partition, tuple[int | None, int]] = {
            partition: (self._placing.stored.get(partition), end) for partition, end in ends.items()
        }
        try:
            report = self._buffer.append(arrivals, positions, letters, self._placing.new_identities)
        except BaseException:
            self._placing.rewind()
            raise
        self._placing.stored.update(ends)
        self._placing.new_identities.clear()
        self._letters_waiting = self._letters_waiting or bool(letters)
        self._count(report, letters)
        self._commit(ends)
        return True

    def _commit(self, ends: Mapping[TopicPartition, int]) -> None:
        """For lag seen by others; the buffer's positions are what counts."""
        try:
            self._source.commit(ends)
        except (StreamUnavailable, StoreFull) as error:
            log.warning("advisory_commit_failed", error=str(error))

    def _send_letters(self) -> bool:
        """At least once: acknowledged letters leave the outbox after the flush."""
        if not self._letters_waiting or self._clock.monotonic() < self._letters_after:
            return False
        waiting = self._buffer.outbox(OUTBOX_AT_ONCE)
        if not waiting:
            self._letters_waiting = False
            return False
        try:
            self._sink.send([out_record(letter, self._dead_letter_topic) for _, letter in waiting])
            self._sink.flush(FLUSH_S)
            self._buffer.acknowledge([number for number, _ in waiting])
        except (StreamUnavailable, StoreFull) as error:
            log.warning("dead_letters_wait", error=str(error), topic=self._dead_letter_topic)
            self._letters_after = self._clock.monotonic() + RETRY_S
            return False
        return True

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
        for letter in letters:
            log.warning("dead_letter", reason=letter.reason, **letter.origin._asdict())
