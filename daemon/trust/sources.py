"""All sources of a task: who is distrusted, and how likely one of its labels is wrong.

A source is distrusted where even the upper bound of its trust is below ``floor_ratio`` × the lower bound of the
most trusted other one: with one source alone nobody is. A distrusted source is taken for a mixture: a share of its
labels is given at random, the others are as the most trusted source's are. From the two, and the gap, follows the
probability that one label was given at random (Bayes; the mixture of Dawid and Skene 1979 with one confusion a source).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from daemon.trust.belief import BINS, SURE, Belief, Floats

MAX_SOURCES = 64
"""Further ones are counted as one, ``(others)``."""
OTHERS = "(others)"


class Trusted(NamedTuple):
    """``lower``, ``mean``, ``upper``: the share of labels that are no guesses, with its interval."""

    source: str
    labels: int
    lower: float
    mean: float
    upper: float
    distrusted: bool


class Sources:
    def __init__(self, floor_ratio: float) -> None:
        self._floor = floor_ratio
        self._beliefs: dict[str, Belief] = {}

    def named(self, source: str) -> str:
        """Under which name a source is counted."""
        return source if source in self._beliefs or len(self._beliefs) < MAX_SOURCES else OTHERS

    def see(self, source: str, place: int, chance: Floats) -> None:
        """The model's word on a label (:meth:`Belief.see`)."""
        self._beliefs.setdefault(self.named(source), Belief()).see(place, chance)

    def compare(self, one: str, other: str, agree: bool) -> None:
        """Two sources' word on the same input: it counts for, or against, both."""
        chance = np.zeros(BINS)
        chance[SURE] = 1.0
        for source in (one, other):
            self.see(source, 0 if agree else SURE, chance)

    def pardon(self, source: str, place: int) -> None:
        belief = self._beliefs.get(self.named(source))
        if belief is not None:
            belief.pardon(place)

    @property
    def several(self) -> bool:
        """Whether there is anybody to compare with."""
        return len(self._beliefs) > 1

    def wrong(self, source: str) -> Floats | None:
        """[BINS] probability that a label with a gap in that bin was given at random; None for a source that is
        not distrusted."""
        name = self.named(source)
        mine, others = self._beliefs.get(name), [b for n, b in self._beliefs.items() if n != name]
        if mine is None or not others:
            return None
        best = max(others, key=lambda belief: belief.trust()[0])
        (lower, usual, _), (_, mean, upper) = best.trust(), mine.trust()
        if upper >= self._floor * lower:
            return None
        guessed = max(0.0, (usual - mean) / usual)
        found: Floats = guessed / (guessed + (1.0 - guessed) * best.honesty())
        return found

    def standing(self) -> list[Trusted]:
        """Every source, the one with most labels first."""
        rows = [
            Trusted(name, belief.labels, *belief.trust(), self.wrong(name) is not None)
            for name, belief in self._beliefs.items()
        ]
        return sorted(rows, key=lambda row: (-row.labels, row.source))

    def dump(self) -> Mapping[str, Any]:
        return {name: belief.dump() for name, belief in self._beliefs.items()}

    def load(self, content: Mapping[str, Any]) -> None:
        """From :meth:`dump`. Raises ValueError, KeyError."""
        self._beliefs = {str(name): Belief.load(belief) for name, belief in content.items()}
