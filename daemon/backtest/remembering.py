"""A served model that encodes an input once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.events import Input
from daemon.serving.served import ServedModel

Features = dict[tuple[Input, int], NDArray[np.float32]]
"""Of an input, by how many layers they are made of."""


class Remembering(ServedModel):
    """``served`` again, with ``known`` features; those of other inputs are added. Nothing bounds them but who clears
    them. They hold for one encoder: share them among models of one version only."""

    def __init__(self, served: ServedModel, known: Features | None = None) -> None:
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
        self.known: Features = {} if known is None else known

    def keep(self, inputs: Iterable[Input], layers: int, features: NDArray[np.float32]) -> None:
        """``features`` [B, layers * H] of ``inputs``."""
        self.known.update(zip(((value, layers) for value in inputs), features, strict=True))

    def features(self, inputs: Sequence[Input], layers: int | None = None) -> NDArray[np.float32]:
        """As of any served model."""
        if layers is None or not inputs:
            return super().features(inputs, layers)
        new = [value for value in dict.fromkeys(inputs) if (value, layers) not in self.known]
        if new:
            self.keep(new, layers, super().features(new, layers))
        return np.stack([self.known[value, layers] for value in inputs])
