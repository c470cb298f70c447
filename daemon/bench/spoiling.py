"""Two sources of labels: a careful one, and a careless one that gives a share of its labels at random."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

SHARE = 0.2
"""Of the careless source's labels that are wrong."""
CAREFUL, CARELESS = "careful", "careless"


def source(number: int, seed: int | None) -> str:
    """Who gives the label of an event; without a seed all come from one."""
    return CAREFUL if seed is None or _chance(f"source/{seed}/{number}") < 0.5 else CARELESS


def spoilt(labels: Sequence[str], seed: int) -> list[str]:
    """The labels as the two sources give them: a wrong one is any other class of the stream, whether it has come
    yet or not."""
    classes = sorted(set(labels))
    return [
        _other(label, classes, f"label/{seed}/{number}") if _spoils(number, seed) else label
        for number, label in enumerate(labels)
    ]


def _spoils(number: int, seed: int) -> bool:
    return source(number, seed) == CARELESS and _chance(f"wrong/{seed}/{number}") < SHARE


def _other(label: str, classes: Sequence[str], draw: str) -> str:
    others = [name for name in classes if name != label]
    return others[int(_chance(draw) * len(others))]


def _chance(draw: str) -> float:
    """In [0, 1), the same for the same words everywhere."""
    return int.from_bytes(blake2b(draw.encode(), digest_size=7).digest(), "big") / 2**56
