"""How far an update may go: back part of the way where it would turn too many right answers into wrong ones.

A model that is better on the whole may still get wrong what was right (negative flips, Yan et al. 2021), the more so
the further its weights went, and the gate bounds these. So the way from the parent's weights to the trained ones (on
it lies WiSE-FT, Wortsman et al. 2022) is searched backwards, by a constant factor (backtracking line search, Armijo
1966), for the first point that keeps the bound on rows that neither side has learnt from. The holdout is not among
them: the gate's word on the point that was chosen stays unbiased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

SHORTER = 0.6
"""Each further try goes so much of the way of the one before."""
TRIES = 3
ROOM = 0.8
"""So much of the gate's bound is aimed at: its rows are others."""

T = TypeVar("T")


def backtrack(ratio: float, make: Callable[[float], T], flips: Callable[[T], float], most: float) -> T:
    """Of ``make(ratio)``, ``make(SHORTER * ratio)``, ... the first with at most ``ROOM * most`` ``flips``; the last of
    ``TRIES`` where none has so few."""
    made = make(ratio)
    for _ in range(TRIES - 1):
        if flips(made) <= ROOM * most:
            break
        ratio *= SHORTER
        made = make(ratio)
    return made
