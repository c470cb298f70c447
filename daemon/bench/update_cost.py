"""``retaind bench update-cost``: what one update costs with a long history, against a short one.

Two state directories that differ in their history alone: events in the buffer (through its own writer), all of them
in the champion's HeadState, as a learner would have folded them. In each, new events arrive and the real learner
makes an update at the shipped defaults: job, training in a process of its own, refit, scoring, gate. What counts is the
CPU time of both processes, the trainer's start included. A row a phase tells how many rows it handled: an update
handles at most so many (``head.refit_max_events``, ``gate.max_rows``, 500 rows of validation, the replay pool), and at
the shipped split a short history has fewer to offer (``--quick`` keeps more aside, so that it has not).
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch

from daemon.app import Rooms, make_learner
from daemon.bench.model import CPU, TASK, publish_version, tuned_only
from daemon.bench.result import document, interleave, median, shown
from daemon.bench.texts import SUBJECTS, texts
from daemon.buffer.ports import Arrival
from daemon.buffer.sqlite import SqliteBufferWriter
from daemon.config.models import Config
from daemon.events import Event, Input, Origin, Split
from daemon.heads import get_head
from daemon.heads.store import save_state
from daemon.tasks.schema import input_key

SHORT, LONG, QUICK_LONG = 5_000, 500_000, 50_000
NEW, QUICK_NEW = 500, 64
QUICK: Mapping[str, Any] = {
    "training": {"epochs": 1},
    "head": {"kind": "ncm", "refit_max_events": 1000},
    "split": {"validation_ratio": 0.1, "holdout_ratio": 0.2, "min_train_rows": 0},
}
"""So small an update costs as much as scoring does: with this split the short history fills every bound too."""
NEVER: Mapping[str, Any] = {"min_events": 1_000_000, "max_wait_s": 1e9, "cooldown_s": 0}
"""An update starts when the bench asks for it."""
FILL_BATCH = 5000
PARTITION = (TASK, 0)
PHASES: Mapping[str, Sequence[str]] = {
    "load": (),
    "grow": (),
    "train": ("new", "pool"),
    "champion": ("validation", "holdout"),
    "refit": ("refit",),
    "score": ("validation", "holdout"),
    "save": (),
}
"""The trainer's phases, and the job's files whose rows each handles."""


def run(quick: bool) -> dict[str, Any]:
    """``headline``: CPU seconds of one update with 100 (``quick``: 10) times the history ÷ with 5,000 events."""
    if quick:
        return measure(SHORT, QUICK_LONG, new=QUICK_NEW, rounds=1, **QUICK)
    return measure(SHORT, LONG, new=NEW, rounds=5)


def measure(short: int, long: int, *, new: int, rounds: int, **task: Any) -> dict[str, Any]:
    """The same with any number of events; ``task``: options of the task."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
        histories = {size: History(Path(directory) / str(size), size, new, task) for size in (short, long)}
        taken = interleave({str(size): partial(history.update) for size, history in histories.items()}, rounds)
        for history in histories.values():
            history.close()
    few, many = histories[short], histories[long]
    cost = {size: median(taken[str(size)]) for size in (short, long)}
    rows = [_row("the whole update", cost[short], cost[long])]
    for phase, files in PHASES.items():
        spent = [median([update["cpu_seconds"][phase] for update in side.updates]) for side in (few, many)]
        handled = [side.rows(files) for side in (few, many)] if files else ["", ""]
        rows.append({**_row(f"trainer: {phase}", *spent), "rows_short": handled[0], "rows_long": handled[1]})
    return document(
        rows[0]["ratio"],
        f"CPU seconds of one update with {long:,} events ÷ with {short:,}",
        rows,
        packages=("torch", "transformers", "peft", "apsw"),
        short=short,
        long=long,
        new_events=new,
        rounds=rounds,
        threads=1,
    )


class History:
    """A state directory with ``size`` events in buffer and HeadState; :meth:`update` makes one update in it."""

    def __init__(self, root: Path, size: int, new: int, task: Mapping[str, Any]) -> None:
        root.mkdir()
        config = Config.model_validate({"state_dir": root / "state", "tasks": {TASK: {**task, "trigger": NEVER}}})
        self._rooms, self._new, self._next = Rooms.make(config), new, 0
        self._writer: SqliteBufferWriter = self._rooms.writer()
        for start in shown(range(0, size, FILL_BATCH), f"filling {size}"):
            self._append(min(FILL_BATCH, size - start))
        _lay_champion(self._rooms, root)
        self._learner = make_learner(self._rooms, TASK, CPU)
        self._fold()
        self.updates: list[Mapping[str, Any]] = []
        self._counts: Mapping[str, int] = {}

    def update(self) -> float:
        """New events arrive, are folded, and are learned in one update: its CPU seconds, both processes."""
        self._append(self._new)
        self._fold()
        before = _cpu_seconds()
        self._learner.ask("bench")
        while self._learner.step() or self._learner.updating:
            time.sleep(0.05)
        spent = _cpu_seconds() - before
        job = sorted(self._rooms.paths.jobs.glob("[0-9]*"))[-1]
        self._counts = orjson.loads((job / "job.json").read_bytes())["counts"]
        outcome = orjson.loads((job / "done.json").read_bytes())
        self.updates.append(self._rooms.registry.load(outcome["version"]).meta.metrics)
        return spent

    def rows(self, files: Sequence[str]) -> int:
        """How many rows the last job had in these."""
        return sum(self._counts[name] for name in files)

    def close(self) -> None:
        self._writer.close()

    def _append(self, count: int) -> None:
        schema, start = self._rooms.schemas[TASK], self._next
        arrivals = []
        for number, (text, label) in enumerate(texts(count, seed=1, start=start), start):
            value = Input(text=text)
            event = Event(f"bench-{number}", TASK, time=float(number), input=value, label=label)
            arrivals.append(Arrival(event, Origin(*PARTITION, number), float(number), input_key(schema, value)))
        self._next += count
        self._writer.append(arrivals, {PARTITION: (start or None, self._next)})

    def _fold(self) -> None:
        while self._learner.fast.fold(64):
            pass


def _lay_champion(rooms: Rooms, scratch: Path) -> None:
    """A champion whose last job covers the whole buffer and whose HeadState holds every train event of it. A
    class's mean stands for the features of its events: half a million need not be encoded for that."""
    version = publish_version(rooms.registry, scratch)
    options = rooms.config.tasks[TASK].head
    kind = get_head(options.kind)
    assert kind is not None
    state = kind.new(options.model_dump(mode="json"))
    served = tuned_only(version)
    inputs = [Input(text=words) for words in SUBJECTS.values()]
    features = dict(zip(SUBJECTS, served.features(inputs, state.layers), strict=True))
    reader = rooms.reader()
    cursor = 0
    while changes := reader.tail(TASK, cursor, FILL_BATCH):
        for change in changes:
            label = change.event.label
            if change.event.split is Split.TRAIN and isinstance(label, str):
                state.add(change.event.key, change.event.id, label, np.asarray(features[label], np.float32))
        cursor = changes[-1].seq
    reader.close()
    state.advance(cursor)
    save_state(rooms.paths.head(TASK, version.id), state)
    rooms.registry.promote(TASK, version.id, who="bench", why="", time=0.0)
    details = {"cursor": cursor, "promote": True, "promoted": True}
    rooms.registry.record("verdict", TASK, version.id, who="bench", why="", time=0.0, details=details)


def _row(what: str, short: float, long: float) -> dict[str, Any]:
    return {
        "what": what,
        "cpu_s_short": round(short, 2),
        "cpu_s_long": round(long, 2),
        "ratio": round(long / short, 2) if short else None,
    }


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended: the trainer is one."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
