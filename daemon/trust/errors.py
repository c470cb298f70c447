"""How often what is served was wrong lately: each label is compared with the fast head's answer before it is learnt.

Prequential (Dawid 1984), with fading (Gama, Sebastião & Rodrigues 2013). Labels of young classes are not counted:
nobody could know them. Whether an encoder should move is asked of *grown* classes alone, since a class that grows mends
most of its errors by itself: on banking77 the fast head is wrong on 12% of the labels of classes with 10 to 14
examples, and on 5% from 35 examples on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FADES = 1 - 1 / 500
"""Of a label's weight, with each that comes after it."""
FEWEST = 50
"""With fewer labels nothing is said."""
GROWN = 25
"""A class with so many examples has learnt most of what comes with their number."""


class Errors:
    """``seen``, ``wrong``: faded counts."""

    def __init__(self, seen: float = 0.0, wrong: float = 0.0) -> None:
        self.seen = seen
        self.wrong = wrong

    def see(self, wrong: bool) -> None:
        self.seen = FADES * self.seen + 1
        self.wrong = FADES * self.wrong + wrong

    @property
    def ratio(self) -> float | None:
        return self.wrong / self.seen if self.seen >= FEWEST else None

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> Errors:
        """Of what ``dump`` told; nothing told: none seen."""
        return cls(**{name: float(value) for name, value in content.items()})

    def dump(self) -> Mapping[str, float]:
        return {"seen": self.seen, "wrong": self.wrong}
