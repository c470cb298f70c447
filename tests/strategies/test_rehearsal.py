"""Replay by strategies that learn from it in their own way."""

from __future__ import annotations

from collections import Counter

import pytest

from strategies import catalog
from strategies.base import PlanStats, Strategy
from strategies.specimen import SpecimenContext, SpecimenModel, examples


def replayed(*names: str) -> int:
    """Replayed examples of an epoch over eight new ones, in steps of four."""
    parent = SpecimenModel(3)
    context = SpecimenContext(parent.grown(5), examples("old", 12, range(3)), parent)
    made: list[Strategy] = [catalog.make(name, {}) for name in names]
    for strategy in made:
        strategy.begin(context)
    count = 0
    for step in range(2):
        batch = list(context.new[4 * step : 4 * step + 4])
        for strategy in made:
            batch = list(strategy.extend(context, batch))
        count += Counter(example.replayed for example in batch)[True]
    return count


@pytest.mark.parametrize("name", ["der++", "er_ace"])
def test_alone_they_replay_and_plan_as_replay_does(name: str) -> None:
    stats = PlanStats(100, 1000, {"a": 1000}, 4, 32, 0)
    assert catalog.make(name, {}).plan(stats) == catalog.make("replay", {}).plan(stats)
    assert replayed(name) == replayed("replay") == 8


@pytest.mark.parametrize("names", [("replay", "der++"), ("replay", "er_ace"), ("replay", "er_ace", "der++")])
def test_behind_one_that_replays_they_draw_none_of_their_own(names: tuple[str, ...]) -> None:
    assert replayed(*names) == 8


def test_another_update_is_looked_at_anew() -> None:
    # Given a strategy that stood behind another one's replay, When the next update has none, Then it replays again
    parent = SpecimenModel(3)
    context = SpecimenContext(parent.grown(5), examples("old", 12, range(3)), parent)
    first, second = catalog.make("replay", {}), catalog.make("er_ace", {})
    for strategy in (first, second):
        strategy.begin(context)
    second.extend(context, first.extend(context, context.new[:4]))
    second.begin(context)
    assert len(second.extend(context, context.new[:4])) == 8
