"""Predicted before learned: each event is answered by what is served before its label is folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daemon.backtest.remembering import Remembering
from daemon.events import Event
from daemon.serving.served import ServedModel

CHUNK = 16
"""Events predicted before they are learned from, at once."""
EVERY = 100
"""Events between two points of the curve."""


@dataclass(slots=True)
class Prequential:
    """The running mean of unit scores."""

    units: list[np.ndarray[Any, Any]] = field(default_factory=list)
    seen: int = 0
    curve: list[tuple[int, float]] = field(default_factory=list)

    def add(self, units: np.ndarray[Any, Any], aggregate: Callable[[Any], float]) -> None:
        self.units.append(units)
        before, self.seen = self.seen, self.seen + len(units)
        if self.seen // EVERY > before // EVERY:
            recent = np.concatenate(self.units[-max(1, EVERY // CHUNK) :])
            self.curve.append((self.seen, round(aggregate(recent), 4)))


def score(served: Remembering, answering: ServedModel, events: Sequence[Event], layers: int) -> np.ndarray[Any, Any]:
    """Unit scores [N, k] of labelled events by ``answering``, a model of the version ``served``. Afterwards that
    one knows them alone (with features of ``layers`` layers, the HeadState's): folding does not encode them again."""
    rows = [(event.input, event.label) for event in events if event.input is not None and event.label is not None]
    examples = answering.encode_rows(rows)
    outputs = served.encoded(examples, layers)
    served.known.clear()
    if layers:
        served.keep([value for value, _ in rows], layers, outputs)
    return answering.task.unit_scores(answering.from_outputs(outputs), [example.target for example in examples])
