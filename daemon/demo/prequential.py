"""Prequential accuracy: every event is predicted before its label is told (Dawid 1984), over a sliding window."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW = 50
"""Events."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Window accuracies over one chapter: at its start, the lowest, at its end, and all along.

    ``start`` is None in the first chapter: nothing was answered before it.
    """

    start: float | None
    low: float
    end: float
    curve: tuple[float, ...]


class Prequential:
    """Add what was right and wrong; read the window, and what became of it since :meth:`begin`."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window: deque[bool] = deque(maxlen=window)
        self._start: float | None = None
        self._curve: list[float] = []
        self.events = 0

    @property
    def value(self) -> float:
        """Accuracy over the last ``window`` events; 0 before the first."""
        return sum(self._window) / len(self._window) if self._window else 0.0

    @property
    def full(self) -> bool:
        return len(self._window) == self._window.maxlen

    def add(self, right: Iterable[bool]) -> None:
        for one in right:
            self._window.append(one)
            self.events += 1
            if self.full:
                self._curve.append(self.value)

    def begin(self) -> None:
        """A new stretch begins here."""
        self._start = self.value if self.full else None
        self._curve = []

    def stretch(self) -> Stretch:
        """Since :meth:`begin`."""
        curve = self._curve or [self.value]
        return Stretch(self._start, min(curve), curve[-1], tuple(curve))


def spark(curve: tuple[float, ...], width: int) -> str:
    """``curve`` (0 to 1) in ``width`` characters or fewer: the mean of each piece as a bar."""
    width = min(width, len(curve))
    pieces = [curve[i * len(curve) // width : (i + 1) * len(curve) // width] for i in range(width)]
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * sum(piece) / len(piece)))] for piece in pieces)
