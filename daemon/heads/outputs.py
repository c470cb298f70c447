"""What an encoder gave for some rows, once for both heads: answers follow without encoding again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.heads.blend import Floats, align, blend
from daemon.heads.ports import Array, FastWeights


@dataclass(frozen=True, slots=True)
class Fast:
    """The fast head that answers beside the tuned one, and the tuned head's weight in the answer."""

    weights: FastWeights
    blend: float


@dataclass(frozen=True, slots=True)
class HeadOutputs:
    """``tuned`` [N, C] over ``labels`` ([N, 0] without a tuned head; [N, 1] for values); ``features`` [N, D] for the
    fast head ([N, 0] where nobody asked for them); ``young``: classes of which the tuned head has seen too few examples
    to be asked about them beside a fast head."""

    tuned: Floats
    labels: tuple[str, ...]
    features: Array
    young: frozenset[str] = frozenset()

    @property
    def settled(self) -> tuple[Floats, tuple[str, ...]]:
        """The tuned head's answer among the classes that it knows well [N, C'], and these."""
        if not self.young:
            return self.tuned, self.labels
        columns = [column for column, label in enumerate(self.labels) if label not in self.young]
        known = self.tuned[:, columns]
        return known / np.maximum(known.sum(axis=1, keepdims=True), 1e-12), tuple(self.labels[c] for c in columns)

    def answers(self, fast: Fast | None) -> tuple[Floats, tuple[str, ...]]:
        """Both heads' answer [N, C] and what its columns mean; [N, 0] where nothing is learnt yet."""
        if fast is None or not fast.weights.labels:
            return self.tuned, self.labels
        theirs = fast.weights.probabilities(self.features)
        mixed, labels = blend(*self.settled, theirs, fast.weights.labels, fast.blend)
        if not self.young:
            return mixed, labels
        mine = set(self.labels)
        ordered = (*self.labels, *(label for label in labels if label not in mine))
        return align(mixed, labels, ordered), ordered


def join(parts: Sequence[HeadOutputs]) -> HeadOutputs:
    """The rows of all, in order: of one model, with features of one width. Raises ValueError for no parts."""
    if not parts:
        raise ValueError("parts: none; whose labels would the columns be?")
    return HeadOutputs(
        np.concatenate([part.tuned for part in parts]),
        parts[0].labels,
        np.concatenate([part.features for part in parts]),
        parts[0].young,
    )
