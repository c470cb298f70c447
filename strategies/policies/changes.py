"""Which classes changed their meaning: are their stored events still called so, by what the new events say?

The labels of the new events define the present: each class's mean feature. An event *agrees* where the mean that
is nearest to it (cosine) is its own class's; a new event is judged by its class's mean without itself. A class
changed where its stored events agree less often than its new ones do.

Guarantees:

1. Of all classes tested, with no change in any, one or more is reported with probability about ``alpha`` at most:
   Fisher's exact test, one-sided, Bonferroni over classes (approximately: the means are estimated from the
   same new events).
2. What the encoder learnt from the stored events speaks against a report, not for it: it holds them together under
   their labels.
3. The shares of the classes play no part: each is compared with itself. A class without new events is not tested, so
   classes that merely stay away are not reported.
4. A difference below ``min_drop`` is not reported, however sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

import numpy as np
from numpy.typing import NDArray

from strategies.policies.parent import Array, unit

MIN_EVENTS = 5
"""A class with fewer new events says nothing, one with fewer stored events is not tested."""


class Present:
    """The classes as the new events have them. ``new``: rows [N, H] of length 1 by class, MIN_EVENTS or more each."""

    def __init__(self, new: Mapping[str, Array]) -> None:
        self._new = new
        self._place = {name: place for place, name in enumerate(new)}
        self._means: Array = unit(np.stack([rows.mean(0) for rows in new.values()]))

    def agree(self, name: str, rows: Array) -> NDArray[np.bool_]:
        """[N]: whether the nearest class of each row is ``name``."""
        agreed: NDArray[np.bool_] = (rows @ self._means.T).argmax(1) == self._place[name]
        return agreed

    def new_agree(self, name: str) -> NDArray[np.bool_]:
        """The same of the class's new rows, each judged by a mean without itself."""
        rows = self._new[name]
        near = rows @ self._means.T
        others = unit(rows.sum(0) - rows)
        near[:, self._place[name]] = (rows * others).sum(1)
        agreed: NDArray[np.bool_] = near.argmax(1) == self._place[name]
        return agreed


def changed(new: Mapping[str, Array], stored: Mapping[str, Array], alpha: float, min_drop: float) -> list[str]:
    """The classes of ``stored`` that changed. Both give rows [N, H] of length 1 by class; a class of ``stored`` is in
    ``new`` too."""
    tested = [name for name in stored if len(stored[name]) >= MIN_EVENTS]
    if len(new) < 2 or not tested:
        return []
    present = Present(new)
    found = []
    for name in tested:
        now, before = present.new_agree(name), present.agree(name, stored[name])
        sure = fewer(int(before.sum()), len(before), int(now.sum()), len(now)) <= alpha / len(tested)
        if sure and now.mean() - before.mean() >= min_drop:
            found.append(name)
    return found


def fewer(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """The probability of ``hits`` or fewer of ``of``, given all hits of both sides: Fisher's exact test, one-sided."""
    every, together = of + other_of, hits + other_hits
    ways = sum(comb(of, k) * comb(other_of, together - k) for k in range(max(0, together - other_of), hits + 1))
    return ways / comb(every, together)
