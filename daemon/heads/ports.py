"""The fast learner's ports: a state that is folded (learner), weights that answer (predictor).

``tests/heads/contract.py`` is the suite that every fast head passes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class FastWeights(Protocol):
    """Immutable and small: what a predictor needs to answer."""

    kind: str
    cursor: int
    """``seq`` of the last change folded: ``labels_seen`` of a prediction."""
    labels: tuple[str, ...]
    layers: int
    """How many of the encoder's last layers make the features."""

    def probabilities(self, features: Array) -> Array:
        """[B, D] features -> [B, C] over ``labels``; [B, 0] before the first label."""

    def tensors(self) -> Mapping[str, NDArray[Any]]: ...

    def metadata(self) -> Mapping[str, Any]: ...


class HeadState(Protocol):
    """The sums. Folding is exact and order-independent; members can be taken out again.

    A member is one normalised input (``key``) with its latest label; an input seen twice counts
    once. Only members are taken out. ``cursor`` is the last change folded or passed.
    """

    kind: str
    cursor: int
    layers: int
    """How many of the encoder's last layers make the features."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that answer: those that have members, and standing ones."""

    def add(self, key: bytes, event_id: str, label: str, features: Array) -> None:
        """Fold one train label; ``features`` [D] of that input."""

    def remove(self, key: bytes, event_id: str, features: Array) -> None:
        """Take an event's label out; nothing happens for one that is not a member."""

    def holds(self, key: bytes, event_id: str) -> bool:
        """Whether that event's label of the input is in the sums."""

    def named(self, label: str) -> bool:
        """Whether the label's words are known."""

    def name(self, label: str, features: Array) -> None:
        """The label's own words, encoded: the first example of its class, for as long as the class answers."""

    def stand(self, labels: Collection[str]) -> None:
        """These answer from their name alone; each must be named."""

    def advance(self, cursor: int) -> None:
        """All changes up to ``cursor`` are in."""

    def choose_beside(self, executor: Executor) -> None:
        """From now on what the labels decide of the head's own parameters (a ridge) is worked out there, and answers
        as soon as it is known; before, :meth:`weights` waited for it."""

    def members(self) -> int: ...

    def weights(self, counts_as_class: Callable[[str, int], bool] | None = None) -> FastWeights:
        """Solve: what predictors need. ``counts_as_class`` (label, members) leaves labels out that are known
        too little yet; their members stay in the sums."""

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """The whole state as arrays, for the snapshot."""

    def metadata(self) -> Mapping[str, Any]: ...


class HeadKind(Protocol):
    """Makes and reads one kind of head; looked up by ``head.kind`` in ``daemon.heads``."""

    def new(self, options: Mapping[str, Any]) -> HeadState: ...

    def load_state(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> HeadState: ...

    def load_weights(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> FastWeights: ...
