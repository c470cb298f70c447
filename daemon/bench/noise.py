"""``retaind bench noise``: what wrong labels of one source cost, and how much of that holding labels back wins back.

A stream is given by two sources, each event by one of them (:mod:`daemon.bench.spoiling`). The fast learner alone
plays it, through the buffer's writer and the learner, once for each row of the table; then it answers the holdout,
whose labels are right. ``won back`` = (with trust - without) / (clean - without), over the means of all seeds. Not
all can be won back by holding labels back, since their texts are lost too: "wrong labels left out" is what a perfect
eye would reach. Features of the frozen encoder are the same in every row, so that each text is encoded once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from daemon.app import Rooms, make_learner
from daemon.backtest import read_events
from daemon.backtest.remembering import Known, Remembering
from daemon.bench.learning.plan import Plan
from daemon.bench.model import CPU, TASK
from daemon.bench.result import document, shown
from daemon.bench.spoiling import source, spoilt
from daemon.bench.texts import texts
from daemon.buffer.ports import Arrival
from daemon.config.models import Config
from daemon.errors import ConfigError
from daemon.events import Event, Input, Origin
from daemon.tasks.schema import input_key

OWN, QUICK_OWN, OWN_HOLDOUT = 4000, 1500, 1000
FOLD_AT_ONCE = 64
Labels = Sequence[str | None]
ON: Mapping[str, Any] = {"quarantine": True}
OFF: Mapping[str, Any] = {"quarantine": False}


class Text(NamedTuple):
    """An input with its true class."""

    input: Input
    label: str


@dataclass(frozen=True, slots=True)
class Played:
    """``held``: labels held back at the end; ``right``: those of them that are not wrong; ``distrusted``: sources."""

    accuracy: float
    held: int
    right: int
    distrusted: tuple[str, ...]


def run(quick: bool, plan: Plan) -> dict[str, Any]:
    """``headline``: the share of the loss that is won back."""
    seeds = plan.seeds[:1] if quick else plan.seeds
    if plan.stream is not None and plan.holdout is not None:
        return measure(read(plan.stream), read(plan.holdout), seeds, plan.task)
    own = [Text(Input(text=row.text), row.label) for row in texts((QUICK_OWN if quick else OWN) + OWN_HOLDOUT)]
    return measure(own[:-OWN_HOLDOUT], own[-OWN_HOLDOUT:], seeds, plan.task)


def measure(
    stream: Sequence[Text], holdout: Sequence[Text], seeds: Sequence[int], task: Mapping[str, Any]
) -> dict[str, Any]:
    """The same for any texts; ``task``: keys of the task's configuration."""
    torch.set_num_threads(1)
    stage = Stage(stream, holdout, task)
    right = [text.label for text in stream]
    rows = {
        "clean, one source": [stage.play(right, None, ON)],
        "clean, two sources": [stage.play(right, seed, ON) for seed in shown(seeds, "clean")],
    }
    wrong = 0
    for seed in shown(seeds, "noisy"):
        noisy = spoilt(right, seed)
        bad = [given != true for given, true in zip(noisy, right, strict=True)]
        cleaned = [None if is_bad else label for label, is_bad in zip(noisy, bad, strict=True)]
        wrong += sum(bad)
        rows.setdefault("noisy, without trust", []).append(stage.play(noisy, seed, OFF))
        rows.setdefault("noisy, with trust", []).append(stage.play(noisy, seed, ON))
        rows.setdefault("noisy, wrong labels left out", []).append(stage.play(cleaned, seed, OFF))
    clean, without, trusted, perfect = (
        float(np.mean([played.accuracy for played in runs])) for runs in list(rows.values())[1:]
    )
    loss = clean - without
    return document(
        _share(trusted - without, loss),
        "of the loss by wrong labels won back",
        [_row(name, runs) for name, runs in rows.items()],
        packages=("torch", "transformers", "apsw"),
        events=len(stream),
        holdout=len(holdout),
        wrong_labels=round(wrong / len(seeds)),
        loss_points=round(100 * loss, 2),
        a_perfect_eye=_share(perfect - without, loss),
        seeds=len(seeds),
        head=stage.config(ON, Path("state")).tasks[TASK].head.kind,
    )


class Stage:
    """What all rows share: the texts, and the features of those that were encoded."""

    def __init__(self, stream: Sequence[Text], holdout: Sequence[Text], task: Mapping[str, Any]) -> None:
        self._stream, self._holdout, self._task = stream, holdout, task
        self._known: Known = {}

    def config(self, trust: Mapping[str, Any], state: Path) -> Config:
        task = {**self._task, "trust": {**self._task.get("trust", {}), **trust}}
        return Config.model_validate({"state_dir": state, "tasks": {TASK: task}})

    def play(self, labels: Labels, seed: int | None, trust: Mapping[str, Any]) -> Played:
        """``labels``: what is said of each text of the stream, None: nothing; ``seed``: of the sources."""
        with tempfile.TemporaryDirectory(prefix="retaind-bench-") as directory:
            rooms = Rooms.make(self.config(trust, Path(directory)))
            writer = rooms.writer()
            learner = make_learner(rooms, TASK, CPU)
            fast = learner.fast
            fast.served = Remembering(fast.served, self._known)
            for start in range(0, len(labels), FOLD_AT_ONCE):
                arrivals = [
                    self._arrival(rooms, number, label, seed)
                    for number, label in enumerate(labels[start : start + FOLD_AT_ONCE], start)
                ]
                writer.append(arrivals, {(TASK, 0): (start or None, start + len(arrivals))})
                while fast.fold(FOLD_AT_ONCE):
                    pass
            writer.close()
            assert fast.state is not None
            weights = fast.weights(fast.state)
            odds = weights.probabilities(fast.served.features([text.input for text in self._holdout], weights.layers))
            hits = [
                weights.labels[best] == text.label for best, text in zip(odds.argmax(1), self._holdout, strict=True)
            ]
            held = [int(row.id) for row in learner.ledger.suspects]
            right = sum(labels[number] == self._stream[number].label for number in held)
            distrusted = tuple(row.source for row in learner.ledger.sources.standing() if row.distrusted)
            return Played(float(np.mean(hits)), len(held), right, distrusted)

    def _arrival(self, rooms: Rooms, number: int, label: str | None, seed: int | None) -> Arrival:
        value, at = self._stream[number].input, float(number)
        event = Event(str(number), TASK, time=at, input=value, label=label, source=source(number, seed))
        return Arrival(event, Origin(TASK, 0, number), at, input_key(rooms.schemas[TASK], value))


def read(path: Path) -> list[Text]:
    """Raises ConfigError for an event without a text and one class."""
    found = []
    for event, _ in read_events(path, None):
        if event.input is None or not isinstance(event.label, str):
            raise ConfigError(f"{path}: event {event.id!r} has no text with one class; bench noise needs both")
        found.append(Text(event.input, event.label))
    return found


def _row(name: str, runs: Sequence[Played]) -> dict[str, Any]:
    accuracies = [round(played.accuracy, 4) for played in runs]
    return {
        "labels": name,
        "accuracy": round(float(np.mean(accuracies)), 4),
        "of each seed": " ".join(map(str, accuracies)),
        "held back": round(float(np.mean([played.held for played in runs]))),
        "of them right": round(float(np.mean([played.right for played in runs]))),
        "distrusted": ", ".join(sorted({name for played in runs for name in played.distrusted})) or "-",
    }


def _share(gain: float, loss: float) -> float:
    return round(gain / loss, 2) if loss > 0 else 0.0
