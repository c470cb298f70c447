"""What is believed of one source: how often the model contradicts it, against how often chance would be.

A label's *gap* is log(p_best / p_label) in nats: 0 where the model says the same. Gaps are counted in bins beside
what a label drawn at random from the classes would have counted, so that a source whose texts are hard is not
taken for one that guesses: trust = 1 - contradicted / contradicted by chance, with a Beta posterior's interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGES = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
"""Bins of gaps, nats."""
BINS = len(EDGES) + 1
CONTRADICTED = 2
"""From this bin on the model contradicts: another class is more than e² = 7 times as likely."""
SURE = BINS - 1
MEMORY = 2000.0
"""Labels after which an earlier one has 1/e of its weight: a source may become better, or worse."""
Z = 1.64
"""Of a one-sided interval of 95%."""


class Belief:
    """``seen``, ``chance`` [BINS]: labels counted, and what random ones would have counted."""

    def __init__(self) -> None:
        self.seen = np.zeros(BINS)
        self.chance = np.zeros(BINS)
        self.labels = 0
        """How many were counted, none of them forgotten."""

    def see(self, place: int, chance: Floats) -> None:
        """A label whose gap is in bin ``place``, where a random one's is with ``chance`` [BINS]."""
        fade = 1.0 - 1.0 / MEMORY
        self.seen *= fade
        self.chance = self.chance * fade + chance
        self.seen[place] += 1.0
        self.labels += 1

    def pardon(self, place: int) -> None:
        """A label that was counted in ``place`` is right after all: it agreed."""
        taken = min(1.0, float(self.seen[place]))
        self.seen[place] -= taken
        self.seen[0] += taken

    def trust(self) -> tuple[float, float, float]:
        """The share of labels that are no guesses: (lower bound, mean, upper bound)."""
        contradicted, random = float(self.seen[CONTRADICTED:].sum()), float(self.chance[CONTRADICTED:].sum())
        agreed, against = 1.0 + max(0.0, random - contradicted), 1.0 + contradicted
        mean = agreed / (agreed + against)
        spread = Z * (mean * (1.0 - mean) / (agreed + against + 1.0)) ** 0.5
        return max(0.0, mean - spread), mean, min(1.0, mean + spread)

    def honesty(self) -> Floats:
        """[BINS] how much likelier a label of this source is in each bin than a random one: falls with the gap."""
        found: Floats = np.minimum.accumulate((self.seen + 0.5) / (self.chance + 1.0))
        return found

    def dump(self) -> Mapping[str, Any]:
        return {"seen": self.seen.tolist(), "chance": self.chance.tolist(), "labels": self.labels}

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> Belief:
        """From :meth:`dump`. Raises ValueError, KeyError."""
        made = cls()
        made.seen, made.chance = np.array(content["seen"], float), np.array(content["chance"], float)
        if made.seen.shape != (BINS,) or made.chance.shape != (BINS,):
            raise ValueError(f"belief: shapes {made.seen.shape}, {made.chance.shape}; must be ({BINS},)")
        made.labels = int(content["labels"])
        return made
