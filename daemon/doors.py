"""What HTTP may ask of the daemon: implements ``daemon.http.services.Services`` over the rooms.

Runs in the predict process. It reads registry, buffer and heads; whatever changes something goes through
the stream (events) or ``control`` (commands).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import orjson

from daemon.app import Rooms
from daemon.buffer.sqlite import SqliteBufferReader
from daemon.errors import CommandRefused, StreamUnavailable
from daemon.events import Event, Input
from daemon.metrics import PrometheusObserver, Sample, StateCollector, render
from daemon.registry.card import card
from daemon.registry.version import MOVES
from daemon.roles.control import Control
from daemon.roles.lag import Lag
from daemon.roles.overview import task_status, trust_samples, version_row
from daemon.roles.predict import ANSWERED
from daemon.roles.troubles import ingest_samples, ingest_status
from daemon.serving.answer import prediction
from daemon.serving.predictor import Predictor
from daemon.serving.watch import Watcher
from daemon.stream.encoding import encode_event, record_key
from daemon.stream.own import OWN
from daemon.stream.ports import Headers, OutRecord, Sink

COMMAND_WAIT_S = 25.0
FLUSH_S = 10.0


class Doors:
    def __init__(
        self, rooms: Rooms, predictor: Predictor, watcher: Watcher, sink: Sink, observer: PrometheusObserver
    ) -> None:
        self._rooms, self._predictor, self._watcher, self._sink = rooms, predictor, watcher, sink
        self._observer = observer
        self._state = StateCollector(self._gauges)
        self._lag: Lag | None = None  # made once there is a buffer
        self._topics = rooms.config.stream.outputs
        inputs = rooms.config.stream.inputs
        self._labelled = inputs[0].topic
        self._requests = next((item.topic for item in inputs if item.predict), None)

    # -- answers --------------------------------------------------------------------------------

    def submit_prediction(self, task: str, inputs: Sequence[Input]) -> Future[Sequence[Mapping[str, Any]]]:
        """Answers of the served model. Raises QueueFull, DecodeError for an input that does not fit the task."""
        schema = self._rooms.schemas[task]
        for value in inputs:
            schema.validate(Event("http", task, input=value))
        return self._predictor.submit(task, inputs, self._rooms.config.predict.top_k)

    def predictions(
        self,
        task: str,
        inputs: Sequence[Input],
        ids: Sequence[str | None],
        answers: Sequence[Any],
        latency_ms: float,
        trace: Headers = (),
    ) -> list[dict[str, Any]]:
        """Answers in the form of a prediction; those with an id go to the stream, so that their label finds them."""
        now, made, records = time.time(), [], []
        for value, event_id, fields in zip(inputs, ids, answers, strict=True):
            answer = prediction(event_id, task, fields, None, now, latency_ms)
            if event_id is not None:
                event = Event(event_id, task, time=now, input=value)
                key = event_id.encode()
                if self._requests is not None:
                    headers = ((ANSWERED, b"http"), OWN, *trace)
                    records.append(OutRecord(self._requests, encode_event(event), key, headers, now))
                records.append(OutRecord(self._topics.predictions, orjson.dumps(answer), key, trace, now))
            made.append(answer)
        if records:
            self._sink.send(records)
            self._sink.flush(FLUSH_S)
        return made

    def append(self, lines: Sequence[bytes]) -> int:
        """Write events to the labelled topic; returns once they are acknowledged."""
        now = time.time()
        self._sink.send([OutRecord(self._labelled, line, record_key(line), (OWN,), now) for line in lines])
        self._sink.flush(FLUSH_S)
        return len(lines)

    # -- what is there --------------------------------------------------------------------------

    def tasks(self) -> Sequence[str]:
        return list(self._rooms.config.tasks)

    def status(self) -> Mapping[str, Any]:
        reader = self._reader()
        try:
            ingest = ingest_status(self._rooms.paths, reader)
        finally:
            if reader is not None:
                reader.close()
        tasks = {task: self.task(task) for task in self.tasks()}
        return {"tasks": tasks, "ready": self.ready()[0], "ingest": ingest}

    def task(self, task: str) -> Mapping[str, Any]:
        reader = self._reader()
        try:
            return task_status(self._rooms.registry, reader, self._rooms.paths, task, self._rooms.config.tasks[task])
        finally:
            if reader is not None:
                reader.close()

    def champion(self, task: str) -> Mapping[str, Any]:
        champion = self._rooms.registry.alias(task, "champion")
        return {"task": task, "version": champion, "previous": self._rooms.registry.alias(task, "previous")}

    def versions(self, task: str | None) -> Sequence[Mapping[str, Any]]:
        registry = self._rooms.registry
        return [version_row(registry, version) for version in registry.versions(task)]

    def version(self, version_id: str) -> Mapping[str, Any]:
        return version_row(self._rooms.registry, self._rooms.registry.load(version_id))

    def card(self, version_id: str) -> str:
        return card(self._rooms.registry, version_id)

    def buffer(self) -> Mapping[str, Any]:
        reader = self._reader()
        if reader is None:
            return {"size_bytes": 0}
        try:
            return {"size_bytes": reader.size_bytes(), "last_seq": {t: reader.last_seq(t) for t in self.tasks()}}
        finally:
            reader.close()

    def _reader(self) -> SqliteBufferReader | None:
        return self._rooms.reader() if self._rooms.paths.buffer.exists() else None

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        waiting = [task for task in self.tasks() if not self._watcher.ready(task)]
        return not waiting, {"ready": not waiting, "waiting_for": waiting}

    def metrics(self) -> bytes:
        return render(self._observer, self._state)

    def _gauges(self) -> Iterator[Sample]:
        registry = self._rooms.registry
        for task in self.tasks():
            champion = registry.alias(task, "champion")
            if champion is not None:
                yield "champion_info", (task, champion), 1.0
                promoted = [e.time for e in registry.history(task) if e.kind in MOVES]
                yield "champion_timestamp_seconds", (task,), promoted[-1]
            yield from trust_samples(self._rooms.paths, task)
        reader = self._reader()
        yield from ingest_samples(self._rooms.paths, reader)
        if reader is None:
            return
        try:
            yield "buffer_bytes", (), float(reader.size_bytes())
            self._lag = self._lag or self._rooms.lag()
            try:
                lags = self._lag.by_partition()
            except StreamUnavailable:
                lags = ()  # never reached: there is nothing to tell yet
            for topic, partition, records in lags:
                yield "consumer_lag_records", (topic, str(partition)), float(records)
            for task in self.tasks():
                yield "buffer_events", (task,), float(reader.stats(task).events)
                yield "head_staleness_seconds", (task,), self._staleness(reader, task)
        finally:
            reader.close()

    def _staleness(self, reader: SqliteBufferReader, task: str) -> float:
        """Seconds since the oldest label that is stored and not yet in the answer became known."""
        served = self._predictor.current(task)
        missing = reader.tail(task, served.labels_seen, 1) if served is not None else ()
        known = missing[0].event.label_time if missing else None
        return 0.0 if known is None else max(0.0, time.time() - known)

    # -- what is asked --------------------------------------------------------------------------

    def command(self, kind: str, task: str, args: Mapping[str, Any], who: str, why: str) -> Mapping[str, Any]:
        """Ask the learner and wait.

        Raises CommandRefused with its reason, RetaindError when it is silent (the command stays).
        """
        control = Control(self._rooms.paths.control)
        try:
            outcome = control.wait(control.submit(kind, task, args, who, why), COMMAND_WAIT_S)
        finally:
            control.close()
        if not outcome.ok:
            raise CommandRefused(str(outcome.details.get("error", "refused")))
        return outcome.details
