"""Stored events that the new ones contradict."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from strategies.base import Example
from strategies.policies.drift_aware import DriftAware
from tests.strategies.policies.around import Around, example

ROWS = torch.eye(4)


def events(prefix: str, label: str, place: int, count: int) -> list[Example]:
    return [example(f"{prefix}-{label}-{place}-{i}", label, place) for i in range(count)]


def around(new: Sequence[Example], old_classes: int = 3) -> Around:
    """Stored: classes a, b, c at 0, 1, 2; and of a some at 3, where it is now."""
    pool = [
        *events("old", "a", 0, 40),
        *events("old", "a", 3, 10),
        *events("old", "b", 1, 40),
        *events("old", "c", 2, 40),
    ]
    return Around(pool, new, ROWS, labels=["a", "b", "c"], old_classes=old_classes)


MOVED = [*events("new", "a", 3, 20), *events("new", "b", 0, 10), *events("new", "b", 1, 20), *events("new", "c", 2, 20)]


@pytest.mark.parametrize("stale", [0.25, 0.0])
def test_contradicted_events_count_for_less_or_not_at_all(stale: float) -> None:
    # Given that what was called a is called b now, and a is elsewhere, When the pool is weighed
    here = around(MOVED)
    chosen = DriftAware(stale_weight_ratio=stale).choose(here, 10)
    # Then only the events of a that lie where b is now weigh less; those where a is now, and other classes, stay
    weights = {e.event_id: e.weight for e in chosen}
    expected = {e.event_id: stale if e.label == "a" and e.token_ids == (0,) else 1.0 for e in here.pool}
    assert weights == {event_id: weight for event_id, weight in expected.items() if weight > 0}
    assert all(e.weight == 1.0 for e in here.pool)


def test_the_parent_sees_a_bounded_number() -> None:
    # Given eight of a class judged, Then the parent sees 8 new and 8 stored of each, and all stored of the changed one
    here = around(MOVED)
    DriftAware(judged_per_class=8).choose(here, 10)
    assert here.table.asked == 3 * 8 + 3 * 8 + 50


def test_where_nothing_changed_everything_is_replayed_as_it_is() -> None:
    new = [*events("new", "a", 0, 9), *events("new", "a", 3, 3), *events("new", "b", 1, 9), *events("new", "c", 2, 9)]
    here = around(new)
    assert DriftAware().choose(here, 10) == list(here.pool)


@pytest.mark.parametrize(
    ("new", "old_classes"),
    [(events("new", "d", 3, 50), 3), (events("new", "a", 3, 4), 3), (MOVED, 0)],
    ids=["only a new class", "too few", "no parent"],
)
def test_where_nothing_can_be_said_the_parent_is_not_asked(new: Sequence[Example], old_classes: int) -> None:
    # Given no class with new events beside stored ones, or no parent, Then it costs nothing and changes nothing
    here = around(new, old_classes)
    assert DriftAware().choose(here, 10) is here.pool
    assert here.table.asked == 0
