"""The ingest role: records into the buffer, exactly once, and what is not an event to the dead letters.

Guarantees, in the order of one step:

1. poll; a record below the stored position is dropped, a gap is an alarm (log and counter), never silence.
2. One buffer transaction: events, next position per partition, dead letters (outbox), topic identities.
3. Advisory commit of the positions to the stream (the buffer's count, the stream's are for people).
4. The outbox is sent to the dead-letter topic and flushed; only then are its entries taken out.

A crash between any two steps loses nothing and doubles nothing in the buffer; a dead letter may be sent
twice (its identity is topic, partition, offset). A topic that was recreated is refused (TopicRecreated).
Never imports torch.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from daemon.buffer.policy import admit
from daemon.buffer.ports import Arrival, BufferWriter, DeadLetter
from daemon.clock import Clock
from daemon.config.models import TaskConfig
from daemon.errors import DecodeError, StoreFull, StreamUnavailable, TopicRecreated
from daemon.events import Event, Op, Origin
from daemon.observe import Observer
from daemon.stream.decoders import Decoder
from daemon.stream.ports import OutRecord, Record, Sink, Source, TopicPartition
from daemon.tasks.base import TaskSchema
from daemon.tasks.schema import input_key

log = structlog.get_logger(__name__)

MAX_RECORDS = 500
POLL_S = 0.2
PAUSE_S = 1.0
FLUSH_S = 10.0
OUTBOX_AT_ONCE = 200
MAINTAIN_EVERY_S = 10.0
PREFIX = "__connect.errors."


class IngestRole:
    """``decoders``: by topic; ``schemas``, ``tasks``: by task; ``passed``: see ``BufferWriter.maintain``."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        buffer: BufferWriter,
        *,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        tasks: Mapping[str, TaskConfig],
        clock: Clock,
        observer: Observer,
        dead_letter_topic: str,
        max_record_bytes: int,
        passed: Callable[[], Mapping[str, int]],
        poll_s: float = POLL_S,
    ) -> None:
        self._source, self._sink, self._buffer = source, sink, buffer
        self._decoders, self._schemas, self._tasks = decoders, schemas, tasks
        self._clock, self._observer = clock, observer
        self._dead_letter_topic, self._max_bytes = dead_letter_topic, max_record_bytes
        self._passed, self._poll_s = passed, poll_s
        self._next: dict[TopicPartition, int | None] = {}
        self._maintained = clock.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``: a full disk or an absent stream pauses and is tried again."""
        while not stop.is_set():
            try:
                self.step()
            except (StoreFull, StreamUnavailable) as error:
                log.warning("ingest_paused", error=str(error), again_in_s=PAUSE_S)
                self._observer.count("ingest_pauses_total", reason=type(error).__name__)
                self._next.clear()
                stop.wait(PAUSE_S)
        self._buffer.close()

    def step(self) -> bool:
        """One poll; False when there was nothing. Raises StoreFull, StreamUnavailable, TopicRecreated."""
        self._place()
        records = self._source.poll(MAX_RECORDS, self._poll_s)
        if records:
            self._store(records)
        sent = self._send_dead_letters()
        if self._clock.monotonic() - self._maintained >= MAINTAIN_EVERY_S:
            self._buffer.maintain(self._passed())
            self._maintained = self._clock.monotonic()
        return bool(records) or sent > 0

    # -- where to read --------------------------------------------------------------------------

    def _place(self) -> None:
        """Seek what was newly assigned to its stored position."""
        assigned = self._source.assignment()
        if all(place in self._next for place in assigned):
            return
        self._check_identities()
        stored = self._buffer.positions()
        for place in assigned:
            if place not in self._next:
                position = stored.get((place.topic, place.partition))
                first, end = self._source.bounds(place)
                start = first if position is None else position
                if start > end:
                    raise TopicRecreated(
                        f"{place.topic}/{place.partition}: stored position {start} is beyond its end {end}; "
                        "it is not the topic that was read before: restore it, or begin with a new state_dir"
                    )
                if start < first:
                    self._gap(place, start, first)
                    start = first
                self._source.seek(place, start)
                self._next[place] = position

    def _check_identities(self) -> None:
        stored = self._buffer.identities()
        for topic, identity in self._source.identities().items():
            if stored.get(topic, identity) != identity:
                raise TopicRecreated(
                    f"topic {topic!r} was recreated (identity {identity}, stored {stored[topic]}): its offsets mean "
                    "something else now; restore the old one, or begin with a new state_dir"
                )

    def _gap(self, place: TopicPartition, expected: int, found: int) -> None:
        log.error("gap", topic=place.topic, partition=place.partition, missing_from=expected, missing_to=found - 1)
        self._observer.count("gap_records_total", found - expected, topic=place.topic)

    # -- storing --------------------------------------------------------------------------------

    def _store(self, records: Sequence[Record]) -> None:
        arrivals: list[Arrival] = []
        dead: list[DeadLetter] = []
        moves: dict[tuple[str, int], tuple[int | None, int]] = {}
        counts = {task: dict(self._buffer.label_counts(task)) for task in self._schemas}
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            before = self._next.get(place)
            expected, reached = moves.get((place.topic, place.partition), (before, before))
            if reached is not None and record.offset < reached:
                continue
            if reached is not None and record.offset > reached:
                self._gap(place, reached, record.offset)
            moves[(place.topic, place.partition)] = (expected, record.offset + 1)
            try:
                arrivals.append(self._arrival(record, counts))
            except DecodeError as error:
                dead.append(self._dead_letter(record, error))
        report = self._buffer.append(arrivals, moves, dead, self._source.identities())
        for (topic, partition), (_, reached) in moves.items():
            self._next[TopicPartition(topic, partition)] = reached
        for (task, outcome), count in report.outcomes.items():
            self._observer.count("events_total", count, task=task, outcome=outcome)
        self._source.commit({TopicPartition(*place): reached for place, (_, reached) in moves.items()})

    def _arrival(self, record: Record, counts: Mapping[str, dict[str, int]]) -> Arrival:
        if record.value is not None and len(record.value) > self._max_bytes:
            raise DecodeError(
                "too_large", f"{len(record.value)} bytes, stream.max_record_bytes allows {self._max_bytes}"
            )
        event = self._decoders[record.topic].decode(record)
        schema = self._schemas.get(event.task)
        if schema is None:
            raise DecodeError(
                "unknown_task", f"event {event.id!r}: task {event.task!r} is not configured: {sorted(self._schemas)}"
            )
        schema.validate(event)
        self._admit(event, schema, counts[event.task])
        key = input_key(schema, event.input) if event.input is not None else None
        return Arrival(event, Origin(record.topic, record.partition, record.offset), record.timestamp, key)

    def _admit(self, event: Event, schema: TaskSchema, counts: dict[str, int]) -> None:
        if event.label is None or event.op is not Op.UPSERT:
            return
        admit(event.label, counts, self._tasks[event.task].labels)
        for name in schema.classes(event.label):
            counts[name] = counts.get(name, 0) + 1

    def _dead_letter(self, record: Record, error: DecodeError) -> DeadLetter:
        value = record.value
        facts = {
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "stage": "VALUE_CONVERTER",
            "class.name": "daemon.stream.decoders",
            "exception.class.name": type(error).__name__,
            "exception.message": str(error)[:1000],
            "reason": error.reason,
        }
        if error.reason == "too_large" and value is not None:
            facts |= {"value.size": str(len(value)), "value.sha256": hashlib.sha256(value).hexdigest()}
            value = None
        headers = tuple((f"{PREFIX}{name}", text.encode()) for name, text in facts.items())
        origin = Origin(record.topic, record.partition, record.offset)
        return DeadLetter(origin, record.timestamp, record.key, value, (*record.headers, *headers), error.reason)

    def _send_dead_letters(self) -> int:
        waiting = self._buffer.outbox(OUTBOX_AT_ONCE)
        if waiting:
            self._sink.send(
                [OutRecord(self._dead_letter_topic, d.value, d.key, d.headers, d.timestamp) for _, d in waiting]
            )
            self._sink.flush(FLUSH_S)
            self._buffer.acknowledge([number for number, _ in waiting])
        return len(waiting)
