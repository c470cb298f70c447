"""The predict role's stream half: requests in, predictions out.

Guarantees:

1. A request's offset is committed only after its prediction is acknowledged by the stream, or in one transaction
   with it (:class:`~daemon.stream.ports.Delivery`).
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
from daemon.errors import DecodeError, Rebalanced, RecordRefused, StreamUnavailable
from daemon.events import Event, Op
from daemon.observe import NullObserver, Observer
from daemon.roles.probe import probe_time
from daemon.serving.answer import prediction
from daemon.serving.predictor import Predictor
from daemon.stream.decoders import Decoder
from daemon.stream.ports import Delivery, OutRecord, Record, Source, TopicPartition
from daemon.stream.trace import trace_headers
from daemon.tasks.base import TaskSchema

log = structlog.get_logger(__name__)

ANSWERED = "retaind.answered"
"""Header of a request that HTTP has answered already."""
RETRY_S = 1.0


class RequestLoop:
    """Polls the topics with ``predict: true`` and answers their events in micro-batches."""

    def __init__(
        self,
        source: Source,
        delivery: Delivery,
        predictor: Predictor,
        decoders: Mapping[str, Decoder],
        schemas: Mapping[str, TaskSchema],
        clock: Clock,
        topic: str,
        top_k: int,
        observer: Observer | None = None,
    ) -> None:
        self._source, self._delivery, self._predictor = source, delivery, predictor
        self._decoders, self._schemas, self._clock = decoders, schemas, clock
        self._topic, self._top_k = topic, top_k
        self._observer = observer or NullObserver()
        self._placed: set[TopicPartition] = set()
        self._trouble: str | None = None

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self.step(timeout_s=0.2)
            except Rebalanced as error:
                log.info("rebalanced", error=str(error))
                self._placed.clear()
            except (StreamUnavailable, RecordRefused) as error:  # a refusal is the topic's: somebody must mend it
                self._say(str(error))
                self._placed.clear()
                stop.wait(RETRY_S)
            else:
                self._say(None)

    def _say(self, trouble: str | None) -> None:
        """Once when it begins, and once when it is over."""
        if (trouble is None) != (self._trouble is None):
            log.warning("requests_unavailable" if trouble else "requests_available", error=trouble or self._trouble)
        self._trouble = trouble

    def step(self, timeout_s: float) -> int:
        """Answer what a poll brings; returns how many predictions went out.

        Raises StreamUnavailable (Rebalanced is one), after which all places are looked up again; Fenced.
        """
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
        self._delivery.deliver(answers, {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
        return len(answers)

    def _place(self) -> None:
        assigned = self._source.assignment()
        self._placed.intersection_update(assigned)
        fresh = [partition for partition in assigned if partition not in self._placed]
        if fresh:
            self._delivery.prepare()
        for partition in fresh:
            first, _ = self._source.bounds(partition)
            self._source.seek(partition, max(first, self._source.committed(partition) or 0))
            self._placed.add(partition)

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        try:
            self._delivery.close()
        finally:
            self._source.close()

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
