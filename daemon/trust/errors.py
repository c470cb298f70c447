"""How often what is served was wrong lately: each label is compared with the fast head's answer before it is learnt.

Prequential (Dawid 1984), with fading (Gama, Sebastião & Rodrigues 2013). Labels of young classes are not counted:
nobody could know them.
"""

from __future__ import annotations

from collections.abc import Mapping

FADES = 1 - 1 / 500
"""Of a label's weight, with each that comes after it."""
FEWEST = 50
"""With fewer labels nothing is said."""


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

    def dump(self) -> Mapping[str, float]:
        return {"seen": self.seen, "wrong": self.wrong}
