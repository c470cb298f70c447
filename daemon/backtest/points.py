"""Any-time value: what is served is scored every so many events, on the holdout rows of the classes seen so far.

A class is young while it has 1 to 10 train events. At a point rows weigh alike; over the stream, points do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from daemon.backtest.holdout import Part, Units

YOUNG_EVENTS = 10
"""A class with so many train events or fewer is young."""


def seen(part: Part, counts: Mapping[str, int]) -> bool:
    """Whether each class of the part has train events."""
    return all(counts.get(name, 0) > 0 for name in part.classes)


def young(part: Part, counts: Mapping[str, int]) -> bool:
    """Whether one of its classes has few."""
    return any(0 < counts.get(name, 0) <= YOUNG_EVENTS for name in part.classes)


@dataclass(slots=True)
class Points:
    aggregate: Callable[[Any], float]
    curve: list[tuple[int, float, float | None]] = field(default_factory=list)
    """(events played, value of all classes seen so far, of the young ones; None while there are none)."""
    young_rows: int = 0

    def add(self, played: int, units: Sequence[tuple[Part, Units]], counts: Mapping[str, int]) -> None:
        """A point after ``played`` events; nothing where no class has been seen. ``counts``: train events a class."""
        known = [(part, rows) for part, rows in units if seen(part, counts)]
        if not known:
            return
        fresh = [rows for part, rows in known if young(part, counts)]
        self.young_rows += sum(map(len, fresh))
        value = self.aggregate(np.concatenate(fresh)) if fresh else None
        self.curve.append((played, self.aggregate(np.concatenate([rows for _, rows in known])), value))

    def summary(self) -> dict[str, Any]:
        """``all``, ``young`` (null where no point has one), ``young_rows`` over all points, ``curve``."""
        few = [value for _, _, value in self.curve if value is not None]
        return {
            "all": float(np.mean([value for _, value, _ in self.curve])) if self.curve else None,
            "young": float(np.mean(few)) if few else None,
            "young_rows": self.young_rows,
            "curve": self.curve,
        }
