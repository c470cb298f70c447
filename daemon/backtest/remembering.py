"""A served model that encodes an input once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.events import Input
from daemon.heads.outputs import HeadOutputs
from daemon.serving.served import ServedModel

Known = dict[tuple[Input, int], tuple[NDArray[np.floating], NDArray[np.float32]]]
"""Of an input and the layers of its features: the tuned head's answer and the features."""


class Remembering(ServedModel):
    """``served`` again, with what is ``known``; what other inputs give is added. Nothing bounds it but who clears it.
    It holds for one encoder and tuned head: share it among models of one version only."""

    def __init__(self, served: ServedModel, known: Known | None = None) -> None:
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
        self.known: Known = {} if known is None else known

    def keep(self, inputs: Sequence[Input], layers: int, outputs: HeadOutputs) -> None:
        """What :meth:`heads` gave for ``inputs``."""
        rows = zip(outputs.tuned, outputs.features, strict=True)
        self.known.update(zip(((value, layers) for value in inputs), rows, strict=True))

    def heads(self, inputs: Sequence[Input], layers: int) -> HeadOutputs:
        """As of any served model."""
        new = [value for value in dict.fromkeys(inputs) if (value, layers) not in self.known]
        if new or not inputs:
            found = super().heads(new, layers)
            if not inputs:
                return found
            self.keep(new, layers, found)
        tuned, features = zip(*(self.known[value, layers] for value in inputs), strict=True)
        return HeadOutputs(np.stack(tuned), tuple(self.model.labels), np.stack(features), self.model.young)
