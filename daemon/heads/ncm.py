"""Nearest class mean on the encoder's features (Mensink et al. 2013): sums and counts per class.

The mean of a class is its sum over its count, so folding commutes, and what was folded can be taken
out again. Sums are float64: after a million updates they are still the batch sums to 1e-9. To answer,
p = softmax(temperature x cosine(features, class mean)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.heads.members import Members
from daemon.heads.ports import Array


class NcmWeights:
    """``means`` [C, D] float32, rows of length 1, in the order of ``labels``. Immutable."""

    kind = "ncm"

    def __init__(self, cursor: int, labels: tuple[str, ...], means: Array, temperature: float, layers: int) -> None:
        if means.ndim != 2 or len(means) != len(labels):
            raise ValueError(f"means: shape {means.shape}; {len(labels)} labels need [{len(labels)}, D]")
        if not np.isfinite(means).all():
            raise ValueError("means: not finite")
        self.cursor = cursor
        self.labels = labels
        self.layers = layers
        self._means = means
        self._temperature = temperature

    def probabilities(self, features: Array) -> Array:
        """[B, D] features -> [B, C]. Raises ValueError for another width than the means'."""
        if not self.labels:
            return np.zeros((len(features), 0), np.float32)
        if features.ndim != 2 or features.shape[1] != self._means.shape[1]:
            raise ValueError(f"features: shape {features.shape}; this head needs [B, {self._means.shape[1]}]")
        scores = self._temperature * (_unit(features.astype(np.float32, copy=False)) @ self._means.T)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"means": self._means}

    def metadata(self) -> Mapping[str, Any]:
        return {
            "cursor": self.cursor,
            "labels": list(self.labels),
            "temperature": self._temperature,
            "layers": self.layers,
        }


class NcmState:
    """Sums [C, D] float64 and counts [C] of the members' features.

    ``labels`` are the classes that have members, in the order in which they were first seen. A class
    without members answers nothing, and its sum is exactly 0 again.
    """

    kind = "ncm"

    def __init__(self, temperature: float, layers: int) -> None:
        self.cursor = 0
        self.layers = layers
        self._temperature = temperature
        self._rows: dict[str, int] = {}
        self._sums = np.zeros((0, 0), np.float64)
        self._counts = np.zeros(0, np.int64)
        self._members = Members()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for label, row in self._rows.items() if self._counts[row])

    def add(self, key: bytes, event_id: str, label: str, features: Array) -> None:
        """Fold a label: ``key`` 16 bytes, ``features`` [D]. Where the input counted under another label,
        it is taken out there. Raises ValueError for features that do not fit or are not finite."""
        vector = self._vector(features)
        move = self._members.put(key, event_id, self._row(label))
        self._shift(vector, move.old, move.new)

    def remove(self, key: bytes, event_id: str, features: Array) -> None:
        """Take an event's label out; the input falls back to the label of its other events, if any."""
        vector = self._vector(features)
        move = self._members.take(key, event_id)
        if move is not None:
            self._shift(vector, move.old, move.new)

    def advance(self, cursor: int) -> None:
        self.cursor = max(self.cursor, cursor)

    def members(self) -> int:
        return len(self._members)

    def merge(self, other: NcmState) -> NcmState:
        """The state of both, whose inputs must be disjoint; its cursor is the lower one, up to which
        both have everything (folding on from there is harmless). Raises ValueError for shared inputs,
        another width, temperature or number of layers."""
        if (self._temperature, self.layers) != (other._temperature, other.layers):
            raise ValueError(
                f"temperature, layers: {self._temperature, self.layers} and {other._temperature, other.layers}; "
                "merge states made with equal options"
            )
        made = NcmState(self._temperature, self.layers)
        made.cursor = min(self.cursor, other.cursor)
        for state in (self, other):
            if state._sums.shape[1] == 0:
                continue
            if made._sums.shape[1] not in (0, state._sums.shape[1]):
                raise ValueError(f"features: widths {made._sums.shape[1]} and {state._sums.shape[1]}; must be equal")
            made._widen(state._sums.shape[1])
            rows = {row: made._row(label) for label, row in state._rows.items()}
            made._members.join(state._members, rows)
            for theirs, ours in rows.items():
                made._sums[ours] += state._sums[theirs]
                made._counts[ours] += state._counts[theirs]
        return made

    def weights(self, counts_as_class: Callable[[str, int], bool] | None = None) -> NcmWeights:
        """Class means of length 1, for the classes that have members (and count)."""
        labels = self.labels
        if counts_as_class is not None:
            labels = tuple(label for label in labels if counts_as_class(label, int(self._counts[self._rows[label]])))
        rows = [self._rows[label] for label in labels]
        return NcmWeights(
            self.cursor, labels, _unit(self._sums[rows]).astype(np.float32), self._temperature, self.layers
        )

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        size = len(self._rows)
        return {"sums": self._sums[:size].copy(), "counts": self._counts[:size].copy(), **self._members.tensors()}

    def metadata(self) -> Mapping[str, Any]:
        return {
            "cursor": self.cursor,
            "labels": list(self._rows),
            "temperature": self._temperature,
            "layers": self.layers,
        }

    @classmethod
    def load(cls, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> NcmState:
        """From :meth:`tensors` and :meth:`metadata`. Raises ValueError where they do not belong together."""
        labels: list[str] = list(metadata["labels"])
        sums, counts = np.array(tensors["sums"], np.float64), np.array(tensors["counts"], np.int64)
        if sums.ndim != 2 or not len(labels) == len(sums) == len(counts):
            raise ValueError(f"sums: shape {sums.shape}, counts: {counts.shape}, labels: {len(labels)}; they must fit")
        made = cls(float(metadata["temperature"]), int(metadata["layers"]))
        made.cursor = int(metadata["cursor"])
        made._rows = {label: row for row, label in enumerate(labels)}
        made._sums, made._counts, made._members = sums, counts, Members.load(tensors)
        if len(made._members) != int(counts.sum()):
            raise ValueError(f"counts: {int(counts.sum())} in all; there are {len(made._members)} members")
        return made

    def _vector(self, features: Array) -> NDArray[np.float64]:
        vector = np.asarray(features, np.float64)
        width = self._sums.shape[1]
        if vector.ndim != 1 or len(vector) == 0 or width not in (0, len(vector)):
            raise ValueError(f"features: shape {vector.shape}; this head needs [{width or 'D'}]")
        if not np.isfinite(vector).all():
            raise ValueError("features: not finite; the encoder's output is broken")
        self._widen(len(vector))
        return vector

    def _widen(self, width: int) -> None:
        if self._sums.shape[1] == 0:
            self._sums = np.zeros((len(self._counts), width), np.float64)

    def _row(self, label: str) -> int:
        row = self._rows.setdefault(label, len(self._rows))
        if row == len(self._counts):
            more = max(8, row)
            self._sums = np.concatenate([self._sums, np.zeros((more, self._sums.shape[1]))])
            self._counts = np.concatenate([self._counts, np.zeros(more, np.int64)])
        return row

    def _shift(self, vector: NDArray[np.float64], old: int | None, new: int | None) -> None:
        if old == new:
            return
        if old is not None:
            self._counts[old] -= 1
            self._sums[old] = self._sums[old] - vector if self._counts[old] else 0.0
        if new is not None:
            self._counts[new] += 1
            self._sums[new] += vector


class NcmKind:
    """Options: ``layers``, ``temperature`` of config ``head: {kind: ncm}``."""

    def new(self, options: Mapping[str, Any]) -> NcmState:
        return NcmState(float(options["temperature"]), int(options["layers"]))

    def load_state(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> NcmState:
        return NcmState.load(tensors, metadata)

    def load_weights(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> NcmWeights:
        return NcmWeights(
            int(metadata["cursor"]),
            tuple(metadata["labels"]),
            np.asarray(tensors["means"], np.float32),
            float(metadata["temperature"]),
            int(metadata["layers"]),
        )


def _unit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))
