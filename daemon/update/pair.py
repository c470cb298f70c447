"""Two models' scores on the same rows, and the paired bootstrap over them (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.tasks.base import Floats

AT_ONCE = 200
"""Resamples in memory at once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Unit scores [N, k] of both models on the same rows, each with its true class ("" where it has none).

    Raises ValueError where they do not belong together.
    """

    champion: Floats
    candidate: Floats
    labels: Sequence[str]

    def __post_init__(self) -> None:
        if self.champion.shape != self.candidate.shape or len(self.labels) != len(self.champion):
            raise ValueError(
                f"scores {self.champion.shape} and {self.candidate.shape} for {len(self.labels)} rows: not one set"
            )

    def __len__(self) -> int:
        return len(self.champion)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.champion).all() and np.isfinite(self.candidate).all())

    def of(self, classes: AbstractSet[str]) -> Pair:
        """The rows of those classes."""
        kept = np.array([label in classes for label in self.labels], dtype=bool)
        labels = [label for label, keep in zip(self.labels, kept, strict=True) if keep]
        return Pair(self.champion[kept], self.candidate[kept], labels)

    def __add__(self, other: Pair) -> Pair:
        return Pair(
            np.concatenate([self.champion, other.champion]),
            np.concatenate([self.candidate, other.candidate]),
            [*self.labels, *other.labels],
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """How scores are compared. ``direction``: 1 where more is better, else -1; positive differences are gains."""

    aggregate: Callable[[Floats], float]
    direction: int
    resamples: int

    def difference(self, pair: Pair) -> float:
        """candidate - champion."""
        return self.direction * float(self.aggregate(pair.candidate) - self.aggregate(pair.champion))

    def worse(self, pair: Pair) -> float:
        """The share of rows on which the candidate is worse, each by itself (negative flips, Yan et al. 2021)."""
        return float((self.direction * (self._each(pair.candidate) - self._each(pair.champion)) < 0).mean())

    def _each(self, scores: Floats) -> Floats:
        """Each row by itself, in the metric where it takes more than one number a row."""
        return scores[:, 0] if scores.shape[1] == 1 else np.array([self.aggregate(row[None]) for row in scores])

    def bootstrap(self, pair: Pair, seed: int) -> NDArray[np.float64]:
        """[resamples] differences, the same rows drawn for both."""
        return self.direction * np.concatenate(list(self._draw(pair, np.random.default_rng(seed))))

    def better(self, pair: Pair, seed: int) -> float:
        """Probability that the candidate is better: the share of resamples in which it is."""
        return float((self.bootstrap(pair, seed) > 0).mean())

    def _draw(self, pair: Pair, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        for start in range(0, self.resamples, AT_ONCE):
            drawn = rng.integers(0, len(pair), (min(AT_ONCE, self.resamples - start), len(pair)))
            after, before = pair.candidate[drawn], pair.champion[drawn]
            yield np.array([self.aggregate(a) - self.aggregate(b) for a, b in zip(after, before, strict=True)])
