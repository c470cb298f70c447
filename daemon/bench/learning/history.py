"""The history that all learners play: the same train rows, the same validation rows, the same order.

Which rows train is what the daemon's own split would say (:mod:`daemon.buffer.split`), so that peers learn from the
very rows that ours learns from, and what it keeps for validation and its gate chooses everybody's learning rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from daemon.backtest import read_events
from daemon.bench.texts import texts
from daemon.buffer.split import TRAIN, decide, split_key
from daemon.config.task import SplitConfig
from daemon.errors import ConfigError
from daemon.events import Event, Input
from daemon.tasks.schema import SequenceSchema, input_key

Line = tuple[Event, bytes]
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of our own texts' first event; the others follow a second apart."""


@dataclass(frozen=True, slots=True)
class Row:
    """``at``: its place in the stream (from 0), or in the holdout."""

    at: int
    input: Input
    label: str
    group: str


class History:
    """``groups`` in the order of their last event; ``ends``: how many events have been played at the end of each."""

    def __init__(self, lines: Sequence[Line], holdout: Sequence[Event], split: SplitConfig) -> None:
        """Raises ConfigError for no events, for events of several tasks, where labels are not classes, and where the
        holdout names groups of which the stream has none."""
        names = {event.task for event in (*(event for event, _ in lines), *holdout)}
        if len(names) != 1 or not lines or not holdout:
            raise ConfigError(f"bench learning: one task with events and holdout rows; found {sorted(names)}")
        self.lines = lines
        ends = {event.group or "all": at + 1 for at, (event, _) in enumerate(lines)}
        self.groups = sorted(ends, key=ends.__getitem__)
        self.ends = [ends[group] for group in self.groups]
        rows = [_row(at, event, "all") for at, (event, _) in enumerate(lines)]
        sides = _sides(rows, [event for event, _ in lines], split)
        self.train = [row for row, side in zip(rows, sides, strict=True) if side == TRAIN]
        self.validation = [row for row, side in zip(rows, sides, strict=True) if side != TRAIN]
        self.holdout = [_row(at, event, self.groups[-1]) for at, event in enumerate(holdout)]
        self._held = holdout
        strange = {row.group for row in self.holdout} - set(self.groups)
        if strange:
            raise ConfigError(f"the holdout's groups {sorted(strange)} are not in the stream: {self.groups}")

    @classmethod
    def read(cls, stream: Path, holdout: Path, task: Mapping[str, Any]) -> History:
        split = SplitConfig.model_validate(task.get("split", {}))
        return cls(read_events(stream, None), [event for event, _ in read_events(holdout, None)], split)

    @property
    def task(self) -> str:
        return self.lines[0][0].task

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Those with train rows, in the order in which they arrive."""
        return tuple(dict.fromkeys(row.label for row in self.train))

    def scored(self, on: str) -> Sequence[Row]:
        """The rows that are scored: ``holdout`` or ``validation``."""
        return {"holdout": self.holdout, "validation": self.validation}[on]

    def scored_events(self, on: str) -> Sequence[Event]:
        events = {"holdout": self._held, "validation": [self.lines[row.at][0] for row in self.validation]}
        return events[on]

    def arriving(self, number: int) -> Sequence[Row]:
        """Train rows that arrive after the end of group ``number`` - 1, up to its own end."""
        first = self.ends[number - 1] if number else 0
        return [row for row in self.train if first <= row.at < self.ends[number]]

    def counts(self, played: int) -> Mapping[str, int]:
        """Train rows of each class among the first ``played`` events."""
        return Counter(row.label for row in self.train if row.at < played)


def write_own(directory: Path, classes: int, per_class: int, held: int, groups: int) -> tuple[Path, Path]:
    """A stream and a holdout of our own texts: ``groups`` waves of new classes. Returns both files."""
    chosen: dict[str, list[str]] = {}
    start, wanted = 0, per_class + held
    while len(chosen) < classes or min(map(len, list(chosen.values())[:classes])) < wanted:
        for text, label in texts(500, seed=7, start=start):
            chosen.setdefault(label, []).append(text)
        start += 500
    names = list(chosen)[:classes]
    waves = [names[at::groups] for at in range(groups)]
    paths = directory / "stream.jsonl", directory / "holdout.jsonl"
    for path, part in zip(paths, (slice(0, per_class), slice(per_class, wanted)), strict=True):
        rows = [
            {"text": text, "label": label, "group": f"g{number}"}
            for number, wave in enumerate(waves)
            for turn in zip(*(chosen[label][part] for label in wave), strict=True)
            for label, text in zip(wave, turn, strict=True)
        ]
        lines = [
            orjson.dumps({"id": f"{path.stem}-{at}", "task": "bench", "time": FIRST + timedelta(seconds=at), **row})
            for at, row in enumerate(rows)
        ]
        path.write_bytes(b"\n".join(lines) + b"\n")
    return paths


def _row(at: int, event: Event, group: str) -> Row:
    if event.input is None or not isinstance(event.label, str):
        raise ConfigError(
            f"event {event.id!r}: bench learning needs a text and one class for each; label {event.label!r}"
        )
    return Row(at, event.input, event.label, event.group or group)


def _sides(rows: Sequence[Row], events: Sequence[Event], split: SplitConfig) -> list[int]:
    schema, sides, trained = SequenceSchema(), dict[bytes, int](), Counter[str]()
    found = []
    for row, event in zip(rows, events, strict=True):
        key = split_key(split, input_key(schema, row.input), event.attributes)
        side = sides.setdefault(key, decide(split, key, trained[row.label]))
        trained[row.label] += side == TRAIN
        found.append(side)
    return found
