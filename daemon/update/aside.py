"""Rows for the gate while there are few: train events that an update's training does not see.

Five in a hundred events are holdout and five validation, so that at 300 events some thirty rows judge a candidate: too
few to tell a gain from chance. While no encoder has moved yet, stored events that this update does not train judge as
well; where that is not enough, a share of the new ones is kept from training. The fast heads are taken apart for these
rows and put together again afterwards (their sums allow it), so nobody who is judged by them has learnt from them, and
nothing is lost: later updates replay them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from daemon.config.task import Gate
from daemon.events import StoredEvent

FEWEST = 100
"""New events below which none is set aside."""
ENOUGH = 3
"""So many times ``gate.min_rows`` rows are enough to judge by."""


def lacking(judged: int, config: Gate) -> int:
    """Rows that are wanted beside the ``judged`` ones of holdout and validation."""
    return max(0, ENOUGH * config.min_rows - judged) if config.insufficient == "validation" else 0


def set_aside(new: Sequence[StoredEvent], wanted: int, config: Gate, seed: int) -> AbstractSet[bytes]:
    """Keys of ``new`` events, each of one event alone; at most ``wanted`` and ``gate.aside_ratio`` of them."""
    if len(new) < FEWEST:
        return frozenset()
    wanted = min(round(config.aside_ratio * len(new)), wanted)
    times = Counter(event.key for event in new)
    left = {label: int(config.aside_ratio * count) for label, count in Counter(map(_class, new)).items()}
    keys: set[bytes] = set()
    for event in random.Random(seed).sample(new, len(new)):
        if len(keys) < wanted and times[event.key] == 1 and left[_class(event)] > 0:
            left[_class(event)] -= 1
            keys.add(event.key)
    return keys


def _class(event: StoredEvent) -> str:
    """So that a class of few events keeps them all."""
    return event.label if isinstance(event.label, str) else ""
