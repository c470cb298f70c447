"""Caps on what one source or one class brings to an update."""

from __future__ import annotations

from collections import Counter

from daemon.config.task import Trust
from daemon.events import Input, Split, StoredEvent
from daemon.tasks.schema import SequenceSchema
from daemon.update.caps import capped


def event(number: int, source: str, label: str) -> StoredEvent:
    return StoredEvent(f"e{number}", "support", 0.0, Input(text="t"), b"", Split.TRAIN, label, 0.0, source, {}, number)


EVENTS = [event(number, ("crm", "crowd", "crowd")[number % 3], "ab"[number % 2]) for number in range(60)]


def test_given_no_cap_then_all_are_new() -> None:
    assert capped(EVENTS, Trust(), SequenceSchema()) == EVENTS


def test_given_a_cap_on_sources_then_the_newest_of_each_stay_in_order() -> None:
    kept = capped(EVENTS, Trust(max_new_per_source=15), SequenceSchema())
    assert Counter(row.source for row in kept) == {"crm": 15, "crowd": 15}
    assert kept == sorted(kept, key=lambda row: row.seq)
    assert kept[-1] is EVENTS[-1]
    assert min(row.seq for row in kept if row.source == "crowd") > 30


def test_given_both_caps_then_both_hold() -> None:
    kept = capped(EVENTS, Trust(max_new_per_source=15, max_new_per_class=5), SequenceSchema())
    assert Counter(row.label for row in kept) == {"a": 5, "b": 5}
