"""Plays labelled history through the real rooms, faster than real time.

Records go through ingest into the buffer; the learner folds, freezes, trains, judges and swaps; a
predictor answers. Only the clock is not real: it stands at the time of the event last played.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
import structlog
import torch

from daemon.app import Rooms, make_ingest, make_learner
from daemon.backtest import report
from daemon.backtest.holdout import Holdout, Part, Units
from daemon.backtest.points import Points, seen
from daemon.backtest.prequential import CHUNK, Prequential, score
from daemon.backtest.remembering import Remembering
from daemon.config.models import Config
from daemon.errors import ConfigError, StoreFull
from daemon.events import Event
from daemon.roles.learner import TaskLearner
from daemon.stream.ports import OutRecord
from daemon.tasks import get_task
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource

log = structlog.get_logger(__name__)

SPEED_TEXTS, SPEED_BATCH = 256, 32
"""How many texts tell the speed of answering, and how many are answered at once."""

UpdateOn = Literal["group", "every", "none", "trigger"]
Progress = Callable[[str, int, int], None]
Line = tuple[Event, bytes]


@dataclass(frozen=True, slots=True)
class Options:
    """``every``: events between updates, with ``update_on="every"``; ``gate=False``: the verdict is
    recorded and every candidate promoted; ``evaluate_every``: events between two any-time points."""

    update_on: UpdateOn = "trigger"
    every: int = 0
    gate: bool = True
    seed: int = 0
    evaluate_every: int = 100


class Backtest:
    """One run. ``config`` has exactly the task that is played; ``state_dir`` must be empty."""

    def __init__(self, config: Config, options: Options, progress: Progress = lambda phase, done, total: None) -> None:
        self._options, self._progress = options, progress
        (self._task, self._settings), *_ = config.tasks.items()
        self._clock = FakeClock()
        self._rooms = Rooms.make(config, clock=self._clock)
        self._broker = MemoryBroker()
        self._topic = config.stream.inputs[0].topic
        source = MemorySource(self._broker, [item.topic for item in config.stream.inputs], "backtest")
        self._sink = MemorySink(self._broker)
        self._ingest = make_ingest(self._rooms, source, self._sink)
        self._learner: TaskLearner = make_learner(
            self._rooms,
            self._task,
            torch.device("cpu"),
            always_promote=not options.gate,
            seed=options.seed,
            snapshot_s=inf,  # its clock is the stream's, and nothing is restarted
        )
        self._reader = self._rooms.reader()
        self._model = get_task(self._settings.type)
        self._trainings: dict[str, Mapping[str, Any]] = {}
        self._evaluate_cpu_s = 0.0

    def run(self, stream: Sequence[Line], holdout: Sequence[Event]) -> dict[str, Any]:
        """Play ``stream`` in order; returns the report.

        Raises ConfigError where the holdout names groups of which the stream has none.
        """
        started, cpu = time.perf_counter(), report.cpu_seconds()
        ends = {event.group or "all": index for index, (event, _) in enumerate(stream)}
        groups = sorted(ends, key=ends.__getitem__)
        strange = {event.group for event in holdout if event.group is not None} - set(groups)
        if strange:
            raise ConfigError(f"the holdout's groups {sorted(strange)} are not in the stream: {groups}")
        held = Holdout(holdout, self._model, groups)
        matrix: list[list[float | None]] = []
        overall: list[float] = []
        prequential, points = Prequential(), Points(self._model.aggregate)
        played = 0
        for chunk, closed in self._chunks(stream, ends):
            self._play(chunk, prequential)
            played += len(chunk)
            self._progress("playing", played, len(stream))
            self._maybe_update(played, len(chunk), closed is not None)
            if closed is None and played % self._options.evaluate_every:
                continue
            come = groups[: groups.index(closed) + 1] if closed is not None else []
            counts = self._reader.stats(self._task).labels
            units = self._evaluate(held, come, counts)
            points.add(played, units, counts)
            if closed is not None:
                matrix.append([self._value([u for part, u in units if part.group == g and g in come]) for g in groups])
                overall.append(self._value([u for part, u in units if part.group in come]) or 0.0)
        wall = time.perf_counter() - started
        speed = self._speed([event for event, _ in stream])
        spent = report.Spent(report.cpu_seconds() - cpu, self._evaluate_cpu_s, wall, speed)
        history = self._rooms.registry.history(self._task)
        return {
            "seed": self._options.seed,
            "config_digest": self._rooms.digest,
            "events": len(stream),
            "updates": len(report.verdicts(history)),
            "groups": groups,
            "metric": self._model.metric.name,
            "matrix": matrix,
            "final": overall[-1],
            "average_incremental": float(np.mean(overall)),
            "forgetting": report.forgetting(matrix),
            "backward_transfer": report.backward_transfer(matrix),
            "any_time": points.summary(),
            "prequential": {
                "value": self._value(prequential.units) or 0.0,
                "curve": prequential.curve,
            },
            "cost": spent.cost(list(self._trainings.values())),
            "versions": report.versions(history),
        }

    # -- playing --------------------------------------------------------------------------------

    def _chunks(self, stream: Sequence[Line], ends: Mapping[str, int]) -> Iterator[tuple[Sequence[Line], str | None]]:
        """Chunks of at most CHUNK events that never cross the end of a group, an update point or an any-time point."""
        closing = {index: group for group, index in ends.items()}
        chunk: list[Line] = []
        for index, item in enumerate(stream):
            chunk.append(item)
            due = self._options.update_on == "every" and (index + 1) % self._options.every == 0
            due = due or (index + 1) % self._options.evaluate_every == 0
            if len(chunk) == CHUNK or index in closing or due:
                yield chunk, closing.get(index)
                chunk = []

    def _play(self, chunk: Sequence[Line], prequential: Prequential) -> None:
        fast = self._learner.fast
        labelled = [event for event, _ in chunk if event.input is not None and event.label is not None]
        if labelled:
            if not isinstance(fast.served, Remembering):
                fast.served = Remembering(fast.served)
            prequential.add(score(fast.served, fast.answering(), labelled, self._layers), self._model.aggregate)
        for event, line in chunk:
            if event.time is not None:
                self._clock.set(max(event.time, self._clock.now()))
            self._sink.send([OutRecord(self._topic, line, key=event.id.encode(), timestamp=self._clock.now())])
        self._sink.flush(1.0)
        while self._ingest.step():
            pass
        if self._ingest.paused is not None:
            raise StoreFull(self._ingest.paused)
        while self._learner.fast.fold(CHUNK):
            pass

    def _maybe_update(self, played: int, new: int, group_closed: bool) -> None:
        match self._options.update_on:
            case "group":
                due = group_closed
            case "every":
                due = played // self._options.every > (played - new) // self._options.every
            case "none":
                due = False
            case "trigger":
                due = True
        if not due:
            return
        if self._options.update_on != "trigger":
            self._learner.ask(self._options.update_on)
        while self._learner.step() or self._learner.updating:
            time.sleep(0.01 if self._learner.updating else 0)
        for entry in report.verdicts(self._rooms.registry.history(self._task)):
            if entry.version and entry.version not in self._trainings:  # before it is retired
                self._trainings[entry.version] = self._rooms.registry.load(entry.version).meta.metrics

    # -- measuring ------------------------------------------------------------------------------

    @property
    def _layers(self) -> int:
        """Of the fast head's features; 0 without one."""
        state = self._learner.fast.state
        return 0 if state is None else state.layers

    def _evaluate(self, held: Holdout, come: Sequence[str], counts: Mapping[str, int]) -> Sequence[tuple[Part, Units]]:
        """Unit scores of what is served now, on the groups that have come and the classes that have been seen."""
        began = time.process_time()
        served = self._learner.fast.answering()
        units = held.units(served, self._layers, lambda part: part.group in come or seen(part, counts))
        self._evaluate_cpu_s += time.process_time() - began
        return units

    def _value(self, units: Sequence[Units]) -> float | None:
        """The metric over all of these rows; None where there are none."""
        return self._model.aggregate(np.concatenate(units)) if units else None

    def _speed(self, events: Sequence[Event]) -> float:
        inputs = [event.input for event in events if event.input is not None][:SPEED_TEXTS]
        began, served = time.process_time(), self._learner.fast.answering()
        started = time.perf_counter()
        for start in range(0, len(inputs), SPEED_BATCH):
            served.answer(inputs[start : start + SPEED_BATCH], 5)
        self._evaluate_cpu_s += time.process_time() - began
        return len(inputs) / (time.perf_counter() - started)
