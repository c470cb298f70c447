"""Herding (Welling 2009), as iCaRL chooses exemplars (Rebuffi et al. 2017): few events that stand for their class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from strategies.base import Example, TrainContext
from strategies.policies.chooser import Chooser
from strategies.policies.parent import Array, features
from strategies.policies.shares import by_class, shares


class Herding(Chooser):
    """Of each class, in equal shares, the events whose features' mean stays nearest to the class's mean."""

    kind: Literal["herding"] = "herding"

    def select(self, context: TrainContext, candidates: Sequence[Example], n: int) -> Sequence[Example]:
        classes = by_class(candidates)
        given = shares({name: len(members) for name, members in classes.items()}, n)
        found = features(context, [example for members in classes.values() for example in members])
        chosen: list[Example] = []
        start = 0
        for name, members in classes.items():
            rows = found[start : start + len(members)]
            start += len(members)
            chosen += [members[place] for place in herd(rows, given[name])]
        return chosen


def herd(rows: Array, n: int) -> Sequence[int]:
    """Places of ``n`` of the ``rows`` [M, H], each of length 1, in the order chosen.

    The k-th makes the mean of the k chosen nearest to the mean of all: of the rows left, the one with
    the largest product with k x mean - sum of those chosen. The front of the order is a smaller choice.
    """
    mean = rows.mean(0)
    missing = np.zeros_like(mean)
    left = np.ones(len(rows), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(n, len(rows))):
        missing += mean
        place = int(np.where(left, rows @ missing, -np.inf).argmax())
        left[place] = False
        missing -= rows[place]
        chosen.append(place)
    return chosen
