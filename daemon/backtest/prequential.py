"""Predicted before learned: each event is answered by what is served before its label is folded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.events import Event, Input
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


class Recalling(ServedModel):
    """A served model that remembers the features of the events it has just answered: folding these does not
    encode them again."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(
            served.version,
            served.model,
            served.tokenizer,
            served.weights,
            served.blend,
            served.task,
            served.quick,
            served.recheck_odds,
        )
        self._layers = 0
        self._recent: dict[Input, NDArray[np.float32]] = {}

    def score(self, answering: ServedModel, events: Sequence[Event], layers: int) -> np.ndarray[Any, Any]:
        """Unit scores [N, k] of labelled events, by a model of this version. ``layers``: the HeadState's."""
        rows = [(event.input, event.label) for event in events if event.input is not None and event.label is not None]
        examples = answering.encode_rows(rows)
        outputs = self.encoded(examples, layers)
        self._layers = layers
        self._recent = dict(zip((value for value, _ in rows), outputs.features, strict=True))
        return answering.task.unit_scores(answering.from_outputs(outputs), [example.target for example in examples])

    def features(self, inputs: Sequence[Input], layers: int | None = None) -> NDArray[np.float32]:
        """As of any served model."""
        if inputs and layers and layers == self._layers and all(value in self._recent for value in inputs):
            return np.stack([self._recent[value] for value in inputs])
        return super().features(inputs, layers)
