"""How much a class of few examples is lifted: plain ridge regression starves young classes.

What the ridge gives a class counts 1 + a/n times as much, and the cosine to the mean of its n examples counts
1/(1 + n/3) beside it; both fade as the class grows. Both are divided by the factor of a class of average size, so that
one temperature suits the scores while all classes grow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_NEAR = 3.0
"""Examples at which the cosine to the class's mean has half its weight."""


class Lift(NamedTuple):
    """``young``: a; ``usual``: 1 + a/n of a class of average size."""

    young: float
    usual: float

    @classmethod
    def of(cls, young: float, counts: NDArray[Any], members: int) -> Lift:
        """``counts`` [C]: examples of each class, ``members`` in all."""
        return cls(young, 1 + young / max(members / max(1, int((counts > 0).sum())), 1))

    def ridge(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """How often the ridge's score counts for classes of so many examples."""
        return np.asarray((1 + self.young / np.maximum(counts, 1)) / self.usual)

    def near(self, cosines: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
        """Cosines (or what makes them) as they count for classes of so many examples."""
        return np.asarray(cosines / (1 + counts / _NEAR) / self.usual)
