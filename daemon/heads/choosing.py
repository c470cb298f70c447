"""Choosing ridge and temperature of the closed-form head, by leave-one-out on a sample of its members.

It costs three to six factorisations of [d, d], seconds at d = 4,000, so it is work that can be done beside the
folding: :class:`Choosing` holds copies of all that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from daemon.heads.leave_one_out import LEAST, Choice, LeftOut, climb
from daemon.heads.ridge import Ridge

OVERSHOT = 2.0
"""So many times too large is the ridge with the lowest leave-one-out loss: on three streams, at 250 to 3,500 events,
new texts were answered best with about half of it."""


@dataclass(frozen=True, slots=True)
class Choosing:
    """``fork``: of the head's ridge, for this alone; ``members``: so many there were; ``left``: who had left."""

    fork: Ridge
    sample: Callable[[], LeftOut]
    members: int
    left: frozenset[bytes]

    def __call__(self) -> float | None:
        """Solves the fork with the ridge, if that is another one, and returns the temperature. None where the sums bear
        no ridge: nothing is chosen."""
        sample, before = self.sample(), self.fork.ridge

        @cache  # the overshot one was mostly on the way
        def judge(ridge: float) -> Choice:
            return sample.judge(ridge, self.fork.factor(ridge))

        found = climb(before, judge)
        lower = judge(max(LEAST, found.ridge / OVERSHOT))
        best = found if math.isinf(lower.loss) else lower
        if math.isinf(best.loss):
            return None
        if best.ridge != before:
            self.fork.solve(best.ridge)
        return best.temperature
