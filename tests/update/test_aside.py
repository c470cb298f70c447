"""Given few rows to judge by, when an update is frozen, then some of its new events are kept from training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from daemon.config.task import Gate
from daemon.events import Input, Split, StoredEvent
from daemon.update.aside import set_aside


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
    ("new", "judged", "gate", "aside"),
    [
        (300, 30, {}, 60),
        (99, 0, {}, 0),
        (500, 150, {}, 50),
        (500, 200, {}, 0),
        (500, 900, {}, 0),
        (300, 30, {"aside_ratio": 0}, 0),
        (300, 30, {"aside_ratio": 0.5}, 150),
        (300, 30, {"min_rows": 20}, 10),
        (300, 30, {"insufficient": "promote"}, 0),
    ],
)
def test_as_many_as_are_lacking(new: int, judged: int, gate: dict[str, object], aside: int) -> None:
    assert len(set_aside(events(new), judged, Gate.model_validate(gate), 0)) == aside


def test_a_class_of_few_events_keeps_them_all() -> None:
    # Given one large class and fifty of two events
    rows = [*events(200, ["a"]), *events(300, [f"c{i}" for i in range(50)])[200:]]
    aside = set_aside(rows, 0, Gate(), 0)
    taken = Counter(event.label for event in rows if event.key in aside)
    assert taken == {"a": 40}


def test_values_are_no_classes() -> None:
    assert len(set_aside(events(200, [i / 200 for i in range(200)]), 0, Gate(), 0)) == 40


def test_texts_that_came_twice_are_trained() -> None:
    assert not set_aside(events(200, texts=100), 0, Gate(), 0)


def test_the_seed_decides_which() -> None:
    first, again, other = (set_aside(events(300), 0, Gate(), seed) for seed in (1, 1, 2))
    assert first == again != other
