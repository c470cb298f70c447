"""Nearest class mean on the encoder's features (Mensink et al. 2013): sums and counts per class.

The mean of a class is its sum over its count (its name counts as one more), so folding commutes, and what was
folded can be taken out again. Sums are float64: after a million updates they are still the batch sums to 1e-9.
To answer, p = softmax(temperature x cosine(features, class mean)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.heads.classes import ClassState, softmax, unit
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
        return softmax(self._temperature * (unit(features.astype(np.float32, copy=False)) @ self._means.T))

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"means": self._means}

    def metadata(self) -> Mapping[str, Any]:
        return {
            "cursor": self.cursor,
            "labels": list(self.labels),
            "temperature": self._temperature,
            "layers": self.layers,
        }


class NcmState(ClassState):
    """Sums [C, D] float64 of the members' features. A class without members has a sum of exactly 0 again."""

    kind = "ncm"

    def __init__(self, temperature: float, layers: int) -> None:
        super().__init__(layers)
        self._temperature = temperature
        self._sums = np.zeros((0, 0), np.float64)

    def weights(self, counts_as_class: Callable[[str, int], bool] | None = None) -> NcmWeights:
        """Class means of length 1, for the classes that answer (and count)."""
        labels = self.labels
        if counts_as_class is not None:
            labels = tuple(label for label in labels if counts_as_class(label, int(self._counts[self._rows[label]])))
        names = self._first_examples()
        rows = [self._rows[label] for label in labels]
        sums = self._sums[rows]
        for place, row in enumerate(rows):
            if row in names:
                sums[place] += names[row]
        return NcmWeights(self.cursor, labels, unit(sums).astype(np.float32), self._temperature, self.layers)

    def _options(self) -> Mapping[str, Any]:
        return {"temperature": self._temperature, "layers": self.layers}

    def _blank(self) -> NcmState:
        return NcmState(self._temperature, self.layers)

    def _resize(self, rows: int, width: int) -> None:
        before, self._sums = self._sums, np.zeros((rows, width), np.float64)
        self._sums[: before.shape[0], : before.shape[1]] = before

    def _move(self, key: bytes, vector: Array, old: int | None, new: int | None) -> None:
        if old is not None:
            self._sums[old] = self._sums[old] - vector if self._counts[old] else 0.0
        if new is not None:
            self._sums[new] += vector

    def _absorb(self, other: NcmState, rows: Mapping[int, int]) -> None:
        for theirs, ours in rows.items():
            self._sums[ours] += other._sums[theirs]

    def _sums_tensors(self, size: int) -> Mapping[str, NDArray[Any]]:
        return {"sums": self._sums[:size].copy()}

    def _restore_sums(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        sums = np.array(tensors["sums"], np.float64)
        if sums.ndim != 2 or sums.shape != (len(self._rows), self._width):
            raise ValueError(f"sums: shape {sums.shape}; {len(self._rows)} labels need [labels, {self._width}]")
        self._sums[: len(sums)] = sums


class NcmKind:
    """Options: ``layers``, ``temperature`` of config ``head: {kind: ncm}``."""

    def new(self, options: Mapping[str, Any]) -> NcmState:
        return NcmState(float(options["temperature"]), int(options["layers"]))

    def load_state(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> NcmState:
        return self.new(metadata).restore(tensors, metadata)

    def load_weights(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> NcmWeights:
        return NcmWeights(
            int(metadata["cursor"]),
            tuple(metadata["labels"]),
            np.asarray(tensors["means"], np.float32),
            float(metadata["temperature"]),
            int(metadata["layers"]),
        )
