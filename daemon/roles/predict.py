"""The predict role's stream half: requests in, predictions out.

Guarantees (at-least-once, DESIGN of docs/explanation/guarantees.md):

1. A request's offset is committed only after its prediction is acknowledged by the stream.
2. ``prediction_id`` follows from task, id and the request's place, so that an answer given twice is
   recognised as one.
3. What is not a request (marked as answered, malformed, a label alone) is passed over here; ingest
   stores or dead-letters it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import orjson
import structlog

from daemon.clock import Clock
from daemon.errors import DecodeError, StreamUnavailable
from daemon.events import Event, Op
from daemon.observe import NullObserver, Observer
from daemon.roles.probe import probe_time
from daemon.serving.answer import prediction
from daemon.serving.predictor import Predictor
from daemon.stream.decoders import Decoder
from daemon.stream.ports import OutRecord, Record, Sink, Source, TopicPartition
from daemon.stream.trace import trace_headers
from daemon.tasks.base import TaskSchema

log = structlog.get_logger(__name__)

ANSWERED = "retaind.answered"
"""Header of a request that HTTP has answered already."""
FLUSH_S = 10.0


class RequestLoop:
    """Polls the topics with ``predict: true`` and answers their events in micro-batches."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        predictor: Predictor,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        clock: Clock,
        topic: str,
        top_k: int,
        observer: Observer | None = None,
    ) -> None:
        self._source, self._sink, self._predictor = source, sink, predictor
        self._decoders, self._schemas, self._clock = decoders, schemas, clock
        self._topic, self._top_k = topic, top_k
        self._observer = observer or NullObserver()
        self._placed: set[TopicPartition] = set()

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.step(timeout_s=0.2)
            except StreamUnavailable as error:
                log.warning("requests_unavailable", error=str(error))
                self._placed.clear()
                stop.wait(1.0)

    def step(self, timeout_s: float) -> int:
        """Answer what a poll brings; returns how many predictions went out."""
        self._place()
        records = self._source.poll(256, timeout_s)
        if not records:
            return 0
        asked = [(record, event) for record in records if (event := self._request(record)) is not None]
        started = self._clock.monotonic()
        futures: list[tuple[Record, Event, Future[Sequence[Mapping[str, Any]]]]] = [
            (record, event, self._predictor.submit(event.task, [event.input], self._top_k, block=True))
            for record, event in asked
            if event.input is not None
        ]
        answers = []
        for record, event, future in futures:
            fields = future.result()[0]
            produced = probe_time(record)
            if produced is not None:  # timed, and its answer written nowhere
                now = self._clock.now()
                self._observer.measure("probe_seconds", max(0.0, now - produced), stage="answered")
                continue
            latency_ms = (self._clock.monotonic() - started) * 1000
            place = (record.topic, record.partition, record.offset)
            answer = prediction(event.id, event.task, fields, place, self._clock.now(), latency_ms)
            headers = trace_headers(record)
            answers.append(OutRecord(self._topic, orjson.dumps(answer), key=event.id.encode(), headers=headers))
        if answers:
            self._sink.send(answers)
            self._sink.flush(FLUSH_S)
        ends = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
        self._source.commit(ends)
        return len(answers)

    def _place(self) -> None:
        for partition in self._source.assignment():
            if partition not in self._placed:
                first, _ = self._source.bounds(partition)
                self._source.seek(partition, max(first, self._source.committed(partition) or 0))
                self._placed.add(partition)

    def _request(self, record: Record) -> Event | None:
        if any(name == ANSWERED for name, _ in record.headers):
            return None
        try:
            event = self._decoders[record.topic].decode(record)
            schema = self._schemas.get(event.task)
            if schema is None or event.op is not Op.UPSERT or event.input is None:
                return None
            schema.validate(event)
        except DecodeError:
            return None
        return event
