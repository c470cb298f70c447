"""Streaming linear discriminant analysis (Hayes & Kanan 2020): class means and one covariance for all classes.

The sums of x by class and of xxᵀ over all members are the data, so folding commutes and members can be taken
out. To answer, Λ = ((1 − ε)Σ + ε tr(Σ)/D · I)⁻¹ of the covariance within classes Σ, and
p = softmax(T·(μ_c·Λx − ½ μ_c·Λμ_c)). A class's name counts as one more example of its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daemon.heads.classes import ClassState, softmax
from daemon.heads.ports import Array


class SldaWeights:
    """``weights`` [C, D] and ``offsets`` [C], float32, in the order of ``labels``. Immutable."""

    kind = "slda"

    def __init__(
        self, cursor: int, labels: tuple[str, ...], weights: Array, offsets: Array, temperature: float, layers: int
    ) -> None:
        if weights.ndim != 2 or not len(weights) == len(labels) == len(offsets):
            raise ValueError(f"weights: shape {weights.shape}; {len(labels)} labels need [{len(labels)}, D]")
        if not (np.isfinite(weights).all() and np.isfinite(offsets).all()):
            raise ValueError("weights: not finite")
        self.cursor = cursor
        self.labels = labels
        self.layers = layers
        self._weights, self._offsets = weights, offsets
        self._temperature = temperature

    def probabilities(self, features: Array) -> Array:
        """[B, D] features -> [B, C]. Raises ValueError for another width."""
        if not self.labels:
            return np.zeros((len(features), 0), np.float32)
        if features.ndim != 2 or features.shape[1] != self._weights.shape[1]:
            raise ValueError(f"features: shape {features.shape}; this head needs [B, {self._weights.shape[1]}]")
        return softmax(self._temperature * (features.astype(np.float32, copy=False) @ self._weights.T + self._offsets))

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"weights": self._weights, "offsets": self._offsets}

    def metadata(self) -> Mapping[str, Any]:
        return {
            "cursor": self.cursor,
            "labels": list(self.labels),
            "temperature": self._temperature,
            "layers": self.layers,
        }


class SldaState(ClassState):
    """Sums [C, D] and the second moment [D, D], float64 (11 MB for 1152 features)."""

    kind = "slda"

    def __init__(self, shrinkage_ratio: float, temperature: float, layers: int) -> None:
        super().__init__(layers)
        self._shrinkage, self._temperature = shrinkage_ratio, temperature
        self._sums = np.zeros((0, 0), np.float64)
        self._moment = np.zeros((0, 0), np.float64)

    def weights(self, counts_as_class: Callable[[str, int], bool] | None = None) -> SldaWeights:
        """Solved for the classes that answer (and count)."""
        labels = self.labels
        if counts_as_class is not None:
            labels = tuple(label for label in labels if counts_as_class(label, int(self._counts[self._rows[label]])))
        rows = [self._rows[label] for label in labels]
        means = self._means(rows)
        weights = np.zeros((0, self._width))
        if rows:
            covariance = torch.from_numpy(self._covariance())
            weights = torch.cholesky_solve(torch.from_numpy(means.T), torch.linalg.cholesky(covariance)).numpy().T
        offsets = -0.5 * (weights * means).sum(axis=1)
        return SldaWeights(
            self.cursor,
            labels,
            np.array(weights, np.float32),
            offsets.astype(np.float32),
            self._temperature,
            self.layers,
        )

    def _means(self, rows: list[int]) -> NDArray[np.float64]:
        names = self._first_examples()
        sums, counts = self._sums[rows], self._counts[rows].astype(np.float64)
        for place, row in enumerate(rows):
            if row in names:
                sums[place] += names[row]
                counts[place] += 1
        return np.asarray(sums / np.maximum(counts, 1)[:, None])

    def _covariance(self) -> NDArray[np.float64]:
        """Within classes, shrunk towards its own mean variance; where nothing can be said of it, the identity's."""
        counts = np.maximum(self._counts, 1).astype(np.float64)[:, None]
        within = self._moment - (self._sums / counts).T @ self._sums
        within /= max(1, len(self._members) - int((self._counts > 0).sum()))
        size = float(np.trace(within)) / self._width
        if size < 1e-9:
            return np.eye(self._width) / self._width
        return np.asarray((1 - self._shrinkage) * within + self._shrinkage * size * np.eye(self._width))

    def _options(self) -> Mapping[str, Any]:
        return {"shrinkage_ratio": self._shrinkage, "temperature": self._temperature, "layers": self.layers}

    def _blank(self) -> SldaState:
        return SldaState(self._shrinkage, self._temperature, self.layers)

    def _resize(self, rows: int, width: int) -> None:
        before, self._sums = self._sums, np.zeros((rows, width), np.float64)
        self._sums[: before.shape[0], : before.shape[1]] = before
        if len(self._moment) != width:
            self._moment = np.zeros((width, width), np.float64)

    def _move(self, key: bytes, vector: Array, old: int | None, new: int | None) -> None:
        exact = vector.astype(np.float64)
        sign = (new is not None) - (old is not None)
        if sign:
            self._moment += sign * np.outer(exact, exact)
        if old is not None:
            self._sums[old] = self._sums[old] - exact if self._counts[old] else 0.0
        if new is not None:
            self._sums[new] += exact

    def _absorb(self, other: SldaState, rows: Mapping[int, int]) -> None:
        self._moment += other._moment
        for theirs, ours in rows.items():
            self._sums[ours] += other._sums[theirs]

    def _sums_tensors(self, size: int) -> Mapping[str, NDArray[Any]]:
        return {"sums": self._sums[:size].copy(), "moment": self._moment.copy()}

    def _restore_sums(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        sums, moment = np.array(tensors["sums"], np.float64), np.array(tensors["moment"], np.float64)
        if sums.shape != (len(self._rows), self._width) or moment.shape != (self._width, self._width):
            raise ValueError(f"sums, moment: shapes {sums.shape}, {moment.shape} do not fit {self._width} features")
        self._sums[: len(sums)], self._moment = sums, moment


class SldaKind:
    """Options: ``layers``, ``shrinkage_ratio``, ``temperature`` of config ``head: {kind: slda}``."""

    def new(self, options: Mapping[str, Any]) -> SldaState:
        return SldaState(float(options["shrinkage_ratio"]), float(options["temperature"]), int(options["layers"]))

    def load_state(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> SldaState:
        return self.new(metadata).restore(tensors, metadata)

    def load_weights(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> SldaWeights:
        return SldaWeights(
            int(metadata["cursor"]),
            tuple(metadata["labels"]),
            np.asarray(tensors["weights"], np.float32),
            np.asarray(tensors["offsets"], np.float32),
            float(metadata["temperature"]),
            int(metadata["layers"]),
        )
