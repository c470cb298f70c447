"""Given few rows to judge by, when an update is frozen, then some of its new events are kept from training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from daemon.config.task import Gate
from daemon.events import Input, Split, StoredEvent
from daemon.update.aside import lacking, set_aside


def events(count: int, labels: Sequence[str | float] = ("a", "b"), texts: int = 10**6) -> list[StoredEvent]:
    return [
        StoredEvent(
            f"e{i}",
            "support",
            0.0,
            Input(text=str(i % texts)),
            (i % texts).to_bytes(16, "big"),
            Split.TRAIN,
            labels[i % len(labels)],
            seq=i,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("new", "wanted", "ratio", "aside"),
    [
        (300, 270, 0.2, 60),
        (99, 300, 0.2, 0),
        (500, 50, 0.2, 50),
        (500, 0, 0.2, 0),
        (300, 270, 0, 0),
        (300, 270, 0.5, 150),
    ],
)
def test_a_share_of_the_new_events_at_most(new: int, wanted: int, ratio: float, aside: int) -> None:
    assert len(set_aside(events(new), wanted, Gate(aside_ratio=ratio), 0)) == aside


@pytest.mark.parametrize(
    ("judged", "gate", "rows"),
    [(30, {}, 270), (300, {}, 0), (900, {}, 0), (30, {"min_rows": 20}, 30), (30, {"insufficient": "promote"}, 0)],
)
def test_as_many_rows_as_are_lacking(judged: int, gate: dict[str, Any], rows: int) -> None:
    assert lacking(judged, Gate.model_validate(gate)) == rows


def test_a_class_of_few_events_keeps_them_all() -> None:
    # Given one large class and fifty of two events
    rows = [*events(200, ["a"]), *events(300, [f"c{i}" for i in range(50)])[200:]]
    aside = set_aside(rows, 300, Gate(), 0)
    taken = Counter(event.label for event in rows if event.key in aside)
    assert taken == {"a": 40}


def test_values_are_no_classes() -> None:
    assert len(set_aside(events(200, [i / 200 for i in range(200)]), 300, Gate(), 0)) == 40


def test_texts_that_came_twice_are_trained() -> None:
    assert not set_aside(events(200, texts=100), 300, Gate(), 0)


def test_the_seed_decides_which() -> None:
    first, again, other = (set_aside(events(300), 300, Gate(), seed) for seed in (1, 1, 2))
    assert first == again != other
