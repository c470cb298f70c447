"""Plays labelled history through the real rooms, faster than real time.

Records go through ingest into the buffer; the learner folds, freezes, trains, judges and swaps; a
predictor answers. Only the clock is not real: it stands at the time of the event last played. The
report is described in docs/reference/backtest.md.
"""

from __future__ import annotations

import itertools
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import structlog
import torch

from daemon.app import Rooms, make_ingest, make_learner
from daemon.config.models import Config
from daemon.errors import ConfigError, RetaindError, StoreFull
from daemon.events import Event
from daemon.roles.learner import TaskLearner
from daemon.serving.served import ServedModel
from daemon.stream.decoders import get_decoder
from daemon.stream.ports import OutRecord, Record
from daemon.tasks import get_task
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource

log = structlog.get_logger(__name__)

CHUNK = 16
"""Events predicted before they are learned from, at once (prequential evaluation)."""
EVALUATE_AT_ONCE = 256

UpdateOn = Literal["group", "every", "none", "trigger"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """``every``: events between updates, with ``update_on="every"``; ``gate=False``: the verdict is
    recorded and every candidate promoted."""

    update_on: UpdateOn = "trigger"
    every: int = 0
    gate: bool = True
    seed: int = 0


@dataclass(slots=True)
class _Prequential:
    """Predicted before learned: the running mean of unit scores."""

    units: list[np.ndarray[Any, Any]] = field(default_factory=list)
    seen: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)

    def add(self, units: np.ndarray[Any, Any], aggregate: Callable[[Any], float]) -> None:
        self.units.append(units)
        before, self.seen = self.seen, self.seen + len(units)
        if self.seen // 100 > before // 100:
            recent = np.concatenate(self.units[-max(1, 100 // CHUNK) :])
            self.curve.append((self.seen, round(aggregate(recent), 4)))


def read_events(path: Path, task: str | None) -> list[tuple[Event, bytes]]:
    """Events of a JSON-lines file with their lines. Raises ConfigError naming the line that is not one."""
    decoder = get_decoder(None, default_task=task)
    events = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                events.append((decoder.decode(Record("file", 0, number, 0.0, None, line)), line))
            except RetaindError as error:
                raise ConfigError(f"{path}:{number + 1}: {error}") from error
    return events


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
        )
        self._model = get_task(self._settings.type)
        self._updates: list[Mapping[str, Any]] = []

    def run(self, stream: Sequence[tuple[Event, bytes]], holdout: Sequence[Event]) -> dict[str, Any]:
        """Play ``stream`` in order; returns the report.

        Raises ConfigError where the holdout names groups of which the stream has none.
        """
        started, cpu = time.perf_counter(), _cpu_seconds()
        ends = self._group_ends(event for event, _ in stream)
        groups = sorted(ends, key=ends.__getitem__)
        by_group = {g: [event for event in holdout if (event.group or groups[-1]) == g] for g in groups}
        strange = {event.group for event in holdout if event.group is not None} - set(groups)
        if strange:
            raise ConfigError(f"the holdout's groups {sorted(strange)} are not in the stream: {groups}")
        matrix: list[list[float | None]] = []
        evaluated: list[np.ndarray[Any, Any]] = []
        overall: list[float] = []
        prequential = _Prequential()
        played = 0
        for chunk, closed in self._chunks(stream, ends, groups):
            self._play(chunk, prequential)
            played += len(chunk)
            self._progress("playing", played, len(stream))
            self._maybe_update(played, len(chunk), closed is not None)
            if closed is not None:
                come = groups[: groups.index(closed) + 1]
                units = {g: self._evaluate(by_group[g]) for g in come if by_group[g]}
                matrix.append([self._value(units[g]) if g in units else None for g in groups])
                evaluated = list(units.values())
                overall.append(self._value(np.concatenate(evaluated)) if evaluated else 0.0)
        return self._report(stream, groups, matrix, overall, prequential, started, cpu, evaluated)

    # -- playing --------------------------------------------------------------------------------

    @staticmethod
    def _group_ends(events: Iterator[Event]) -> dict[str, int]:
        return {event.group or "all": index for index, event in enumerate(events)}

    def _chunks(
        self, stream: Sequence[tuple[Event, bytes]], ends: Mapping[str, int], groups: Sequence[str]
    ) -> Iterator[tuple[Sequence[tuple[Event, bytes]], str | None]]:
        """Chunks of at most CHUNK events that never cross the end of a group or an update point."""
        closing = {index: group for group, index in ends.items()}
        chunk: list[tuple[Event, bytes]] = []
        for index, item in enumerate(stream):
            chunk.append(item)
            due = self._options.update_on == "every" and (index + 1) % self._options.every == 0
            if len(chunk) == CHUNK or index in closing or due:
                yield chunk, closing.get(index)
                chunk = []

    def _play(self, chunk: Sequence[tuple[Event, bytes]], prequential: _Prequential) -> None:
        labelled = [event for event, _ in chunk if event.input is not None and event.label is not None]
        if labelled:
            prequential.add(self._score(self._learner.fast.answering(), labelled), self._model.aggregate)
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

    # -- measuring ------------------------------------------------------------------------------

    def _evaluate(self, events: Sequence[Event]) -> np.ndarray[Any, Any]:
        served = self._learner.fast.answering()
        starts = range(0, len(events), EVALUATE_AT_ONCE)
        return np.concatenate([self._score(served, events[start : start + EVALUATE_AT_ONCE]) for start in starts])

    def _score(self, served: ServedModel, events: Sequence[Event]) -> np.ndarray[Any, Any]:
        """Unit scores [N, k] of what is served, chosen among all labels seen so far."""
        return served.unit_scores([(event.input, event.label) for event in events if event.input and event.label])

    def _value(self, units: np.ndarray[Any, Any]) -> float:
        return self._model.aggregate(units)

    def _report(
        self,
        stream: Sequence[tuple[Event, bytes]],
        groups: Sequence[str],
        matrix: list[list[float | None]],
        overall: list[float],
        prequential: _Prequential,
        started: float,
        cpu: float,
        evaluated: Sequence[np.ndarray[Any, Any]],
    ) -> dict[str, Any]:
        wall = time.perf_counter() - started
        history = self._rooms.registry.history(self._task)
        verdicts = [entry for entry in history if entry.kind == "verdict"]
        metrics = [self._rooms.registry.load(v.version).meta.metrics for v in verdicts if v.version]
        speed = self._speed([event for event, _ in stream][:512])
        columns = list(zip(*matrix, strict=True))
        best = [max((v for v in column if v is not None), default=None) for column in columns[:-1]]
        last = matrix[-1][:-1]
        drops = [b - v for b, v in zip(best, last, strict=True) if b is not None and v is not None]
        gains = [
            final - first
            for index, final in enumerate(last)
            if final is not None and (first := matrix[index][index]) is not None
        ]
        return {
            "seed": self._options.seed,
            "config_digest": self._rooms.digest,
            "events": len(stream),
            "updates": len(verdicts),
            "groups": list(groups),
            "metric": self._model.metric.name,
            "matrix": matrix,
            "final": overall[-1],
            "average_incremental": float(np.mean(overall)),
            "forgetting": float(np.mean(drops)) if drops else 0.0,
            "backward_transfer": float(np.mean(gains)) if gains else 0.0,
            "prequential": {
                "value": self._value(np.concatenate(prequential.units)) if prequential.units else 0.0,
                "curve": prequential.curve,
            },
            "cost": {
                "train_cpu_s": sum(m["cpu_s"] for m in metrics),
                "total_cpu_s": _cpu_seconds() - cpu,
                "train_wall_s": sum(m["wall_s"] for m in metrics),
                "wall_s": wall,
                "trained_samples": sum(m["trained_samples"] for m in metrics),
                "predict_texts_per_s": speed,
                "peak_rss_bytes": max(
                    [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, *(m["peak_rss_bytes"] for m in metrics)]
                ),
            },
            "versions": [
                {
                    "id": entry.version,
                    "verdict": entry.details["decision"],
                    "promoted": entry.details["promoted"],
                    "reasons": [check["reason"] for check in entry.details["checks"]],
                }
                for entry in verdicts
            ],
        }

    def _speed(self, events: Sequence[Event]) -> float:
        inputs = [event.input for event in events if event.input is not None]
        served = self._learner.fast.answering()
        started = time.perf_counter()
        for part in itertools.batched(inputs, 32) if hasattr(itertools, "batched") else [inputs]:
            served.answer(list(part), 5)
        return len(inputs) / (time.perf_counter() - started)


def _cpu_seconds() -> float:
    """Of this process and the children that have ended (trainers)."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def dump(report: Mapping[str, Any]) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
