"""Micro-batches without waiting: one worker takes whatever is queued, up to a token budget.

Guarantees:

1. A request is answered by exactly one served model: the one referenced when its batch was taken.
2. :meth:`Predictor.swap` replaces that reference; no request fails, waits or is lost because of it, and
   the old model is freed after its last batch.
3. A request whose answering raises does not take its batch-mates with it.
4. Never more than ``max_queue`` requests wait: a further one gets QueueFull, or blocks if it asked to.
5. :meth:`Predictor.close` answers what was accepted.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from daemon.clock import Clock, SystemClock
from daemon.errors import NotServing, PredictionFailed, QueueFull
from daemon.events import Input
from daemon.observe import NullObserver, Observer
from daemon.serving.batching import pieces, tokens
from strategies.base import Example

log = structlog.get_logger(__name__)

Answers = Sequence[Mapping[str, Any]]
Kind = tuple[str, int]
"""(task, top_k): what can share a batch."""


class Servable(Protocol):
    """What a predictor needs of a served model (:class:`daemon.serving.served.ServedModel`)."""

    @property
    def version_id(self) -> str: ...

    @property
    def labels_seen(self) -> int: ...

    @property
    def encoding(self) -> Hashable: ...

    def encode(self, inputs: Sequence[Input]) -> list[Example]: ...

    def answer_encoded(self, examples: Sequence[Example], top_k: int) -> Answers: ...


@dataclass(slots=True, eq=False)
class _Request:
    number: int
    inputs: Sequence[Input]
    examples: Sequence[Example]
    encoding: Hashable
    submitted: float
    future: Future[Answers]


class Predictor:
    """Thread-safe. ``max_batch_tokens``: of one forward; ``max_queue``: requests that may wait."""

    def __init__(
        self,
        max_batch_tokens: int,
        max_queue: int,
        observer: Observer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._max_batch_tokens = max_batch_tokens
        self._max_queue = max_queue
        self._observer = observer or NullObserver()
        self._clock = clock or SystemClock()
        self._models: dict[str, Servable] = {}
        self._queues: dict[Kind, deque[_Request]] = {}
        self._waiting = 0
        self._numbers = itertools.count()
        self._closing = False
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        """Something to answer, or closing."""
        self._room = threading.Condition(self._lock)
        """A free place, a first model, or closing."""
        self._worker = threading.Thread(target=self._run, name="predictor", daemon=True)
        self._worker.start()

    def swap(self, task: str, served: Servable) -> None:
        """Later batches of ``task`` are answered by ``served``."""
        with self._lock:
            self._models[task] = served
            self._room.notify_all()

    def current(self, task: str) -> Servable | None:
        """What answers now. Holding on to it keeps it in memory."""
        return self._models.get(task)

    def ready(self, task: str) -> bool:
        return task in self._models

    def waiting(self) -> int:
        """Requests in the queue."""
        return self._waiting

    def submit(self, task: str, inputs: Sequence[Input], top_k: int = 5, *, block: bool = False) -> Future[Answers]:
        """Tokenise here and now, answer soon: one answer per input, all of one (version, labels_seen).

        With ``block`` it waits for a free place and a first model instead of raising QueueFull and
        NotServing. The future may be cancelled while it waits; it raises PredictionFailed where the
        model does.
        """
        served = self._admit(task, block)
        examples, encoding = served.encode(inputs), served.encoding
        del served
        request = _Request(0, inputs, examples, encoding, self._clock.monotonic(), Future())
        if not inputs:
            request.future.set_result([])
            return request.future
        with self._lock:
            self._wait_for_room(block)
            request.number = next(self._numbers)
            self._queues.setdefault((task, top_k), deque()).append(request)
            self._waiting += 1
            self._work.notify()
        return request.future

    def close(self, timeout_s: float | None = None) -> None:
        """Accept nothing more, answer what waits, end. What is not answered in time raises NotServing."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._room.notify_all()
        self._worker.join(timeout_s)
        with self._lock:
            left = [request for queue in self._queues.values() for request in queue]
            self._queues.clear()
            self._waiting = 0
        for request in left:
            if request.future.set_running_or_notify_cancel():
                request.future.set_exception(NotServing("the predictor closed before this request's turn"))

    def _admit(self, task: str, block: bool) -> Servable:
        """Refuse early what would be refused late, before tokenising costs anything."""
        with self._lock:
            self._wait_for_room(block)
            while task not in self._models:
                if self._closing or not block:
                    raise NotServing(f"task {task!r}: no model is loaded yet; see /readyz")
                self._room.wait()
            return self._models[task]

    def _wait_for_room(self, block: bool) -> None:
        while self._waiting >= self._max_queue and not self._closing:
            if not block:
                raise QueueFull(f"predict.max_queue: {self._max_queue} requests wait already; try again later")
            self._room.wait()
        if self._closing:
            raise NotServing("the predictor is closing; ask another one")

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closing:
                    self._work.wait()
                if not self._waiting:
                    return
            self._step()

    def _step(self) -> None:
        """One batch. All references to its model are this frame's, so they end with it."""
        with self._lock:
            if not self._waiting:
                return
            kind, batch = self._take()
            served = self._models[kind[0]]
        running = [request for request in batch if request.future.set_running_or_notify_cancel()]
        if running:
            self._answer(kind, running, served)

    def _take(self) -> tuple[Kind, list[_Request]]:
        """The oldest request, and what came after it of the same kind, up to the token budget."""
        kind = min(self._queues, key=lambda kind: self._queues[kind][0].number)
        queue = self._queues[kind]
        batch = [queue.popleft()]
        budget = self._max_batch_tokens - tokens(batch[0].examples)
        while queue and (size := tokens(queue[0].examples)) <= budget:
            batch.append(queue.popleft())
            budget -= size
        if not queue:
            del self._queues[kind]
        self._waiting -= len(batch)
        self._room.notify(len(batch))
        return kind, batch

    def _answer(self, kind: Kind, batch: Sequence[_Request], served: Servable) -> None:
        try:
            answers = self._answers(batch, served, kind[1])
        except Exception as error:
            if len(batch) > 1:
                for request in batch:
                    self._answer(kind, [request], served)
                return
            log.exception("prediction_failed", task=kind[0], version=served.version_id)
            # Not the error itself: its traceback's frames would keep the model alive.
            batch[0].future.set_exception(PredictionFailed(f"task {kind[0]!r}: {type(error).__name__}: {error}"))
            return
        at = 0
        for request in batch:
            request.future.set_result(answers[at : at + len(request.inputs)])
            at += len(request.inputs)
        self._observe(kind[0], batch)

    def _answers(self, batch: Sequence[_Request], served: Servable, top_k: int) -> Answers:
        encoding = served.encoding
        examples: list[Example] = []
        for request in batch:
            same = request.encoding == encoding
            examples.extend(request.examples if same else served.encode(request.inputs))
        answers: list[Mapping[str, Any]] = []
        for piece in pieces(examples, self._max_batch_tokens):
            answers.extend(served.answer_encoded(piece, top_k))
        if len(answers) != len(examples):
            raise RuntimeError(f"{len(answers)} answers for {len(examples)} inputs")
        return answers

    def _observe(self, task: str, batch: Sequence[_Request]) -> None:
        now = self._clock.monotonic()
        try:
            self._observer.count("predictions_total", sum(len(request.inputs) for request in batch), task=task)
            for request in batch:
                self._observer.measure("prediction_latency_seconds", now - request.submitted, task=task)
        except Exception:
            log.exception("observer_failed", task=task)
