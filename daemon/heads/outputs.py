"""What an encoder gave for some rows, once for both heads: answers follow without encoding again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.heads.blend import Floats, blend
from daemon.heads.ports import Array, FastWeights


@dataclass(frozen=True, slots=True)
class Fast:
    """The fast head that answers beside the tuned one, and the tuned head's weight in the answer."""

    weights: FastWeights
    blend: float


@dataclass(frozen=True, slots=True)
class HeadOutputs:
    """``tuned`` [N, C] over ``labels`` ([N, 0] without a tuned head; [N, 1] for values); ``features``
    [N, D] for the fast head ([N, 0] where nobody asked for them)."""

    tuned: Floats
    labels: tuple[str, ...]
    features: Array

    def answers(self, fast: Fast | None) -> tuple[Floats, tuple[str, ...]]:
        """Both heads' answer [N, C] and what its columns mean; [N, 0] where nothing is learnt yet."""
        if fast is None or not fast.weights.labels:
            return self.tuned, self.labels
        return blend(
            self.tuned, self.labels, fast.weights.probabilities(self.features), fast.weights.labels, fast.blend
        )


def join(parts: Sequence[HeadOutputs]) -> HeadOutputs:
    """The rows of all, in order: of one model, with features of one width. Raises ValueError for no parts."""
    if not parts:
        raise ValueError("parts: none; whose labels would the columns be?")
    return HeadOutputs(
        np.concatenate([part.tuned for part in parts]),
        parts[0].labels,
        np.concatenate([part.features for part in parts]),
    )
