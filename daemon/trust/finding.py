"""What the model says of one label: the gap, and what a random label's would have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.heads.ports import Array
from daemon.trust.belief import BINS, EDGES, Floats

LEAST = 1e-12
FEWEST = 2
"""With fewer classes that are not young there is nothing to tell apart."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``place``: the gap's bin; ``chance`` [BINS]: where a random label's would be; ``answer``: what the model says;
    ``odds``: how many times likelier that is than the label; ``examples``: of the rarer of both classes."""

    place: int
    chance: Floats
    answer: str
    odds: float
    examples: int


def find(
    label: str, probabilities: Array, labels: Sequence[str], counts: Mapping[str, int], young: int
) -> Finding | None:
    """``probabilities`` [C] over ``labels``; ``counts``: examples of each. None where the label's class or the
    model's answer has fewer than ``young`` examples: a young class is never judged."""
    if counts.get(label, 0) < young:
        return None
    best = int(probabilities.argmax())
    grown = np.fromiter((counts.get(name, 0) >= young for name in labels), bool, len(labels))
    if not grown[best] or int(grown.sum()) < FEWEST:
        return None
    logs = np.log(np.maximum(probabilities.astype(np.float64), LEAST))
    gaps = logs[best] - logs
    places = np.searchsorted(EDGES, gaps, side="right")
    mine = list(labels).index(label)
    chance = np.bincount(places[grown], minlength=BINS) / grown.sum()
    examples = min(counts[label], counts[labels[best]])
    return Finding(int(places[mine]), chance, labels[best], float(np.exp(gaps[mine])), examples)
