"""What answers of the fast head ``ranpac`` (:mod:`daemon.heads.ranpac`): solved weights, small beside the sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daemon.heads.classes import softmax, unit
from daemon.heads.ports import Array
from daemon.heads.projection import Projection, projection


@dataclass(frozen=True, slots=True)
class RanpacOptions:
    """As in config ``head: {kind: ranpac}``."""

    layers: int
    width: int
    ridge: float
    young_events: float
    sample_events: int
    seed: int

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RanpacOptions:
        return cls(
            int(options["layers"]),
            int(options["width"]),
            float(options["ridge"]),
            float(options["young_events"]),
            int(options["sample_events"]),
            int(options["seed"]),
        )

    def projection(self, features: int) -> Projection:
        """Of features [B, ``features``]."""
        return projection(self.seed, features, self.width, self.layers)


class RanpacWeights:
    """``solved`` [C, d] on the projected features and ``near`` [C, H] on the last layer's. Immutable."""

    kind = "ranpac"

    def __init__(
        self,
        cursor: int,
        labels: tuple[str, ...],
        solved: Array,
        near: Array,
        temperature: float,
        features: int,
        options: RanpacOptions,
    ) -> None:
        if solved.shape != (len(labels), options.width) or len(near) != len(labels):
            raise ValueError(f"solved: shape {solved.shape}; {len(labels)} labels need [{len(labels)}, width]")
        if not (np.isfinite(solved).all() and np.isfinite(near).all()):
            raise ValueError("solved: not finite")
        self.cursor = cursor
        self.labels = labels
        self.layers = options.layers
        self._features = features
        self._options = options
        self._solved, self._near = solved, near
        self._temperature = temperature

    def probabilities(self, features: Array) -> Array:
        """[B, D] features -> [B, C]. Raises ValueError for another width than those that were folded."""
        if not self.labels:
            return np.zeros((len(features), 0), np.float32)
        if features.ndim != 2 or features.shape[1] != self._features:
            raise ValueError(f"features: shape {features.shape}; this head needs [B, {self._features}]")
        features = unit(features.astype(np.float32, copy=False))
        project = self._options.projection(self._features)
        scores = (project(torch.from_numpy(features)) @ torch.from_numpy(self._solved).T).numpy()
        return softmax(self._temperature * (scores + last_layer(features, self.layers) @ self._near.T))

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"solved": self._solved, "near": self._near}

    def metadata(self) -> Mapping[str, Any]:
        return {
            "cursor": self.cursor,
            "labels": list(self.labels),
            "temperature": self._temperature,
            "features": self._features,
            **asdict(self._options),
        }


def last_layer(features: NDArray[Any], layers: int) -> NDArray[Any]:
    """[B, D] -> [B, D / layers], the last layer's, of length 1."""
    return unit(features[:, -(features.shape[1] // layers) :])
