"""Experience replay."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, cast

import pytest

from strategies.base import Example, Model, PlanStats, PoolRequest, TrainContext
from strategies.policies.base import Policy
from strategies.replay import Replay
from strategies.replay_options import ReplayOptions


def examples(prefix: str, count: int) -> list[Example]:
    return [Example(f"{prefix}-{i}", (1, 2), 0) for i in range(count)]


def context(pool: Sequence[Example], seed: int = 0) -> TrainContext:
    none = cast(Model, None)
    return TrainContext(none, pool, [], [], 0, cast("object", None), random.Random(seed), 4, 10)  # type: ignore[arg-type]


def replay(**options: object) -> Replay:
    return Replay(ReplayOptions.model_validate(options))


def stats(new: int, stored: int, epochs: int = 4) -> PlanStats:
    return PlanStats(new, stored, {}, epochs, 32, 0)


@pytest.mark.parametrize(("ratio", "epoch"), [(1.0, 40), (0.5, 20), (0.3, 12), (2.5, 100)])
def test_an_epoch_replays_ratio_events_for_each_new_one(ratio: float, epoch: int) -> None:
    # Given a pool, When an epoch of 40 new events passes in steps of 4
    strategy, around = replay(ratio=ratio), context(examples("old", 50))
    strategy.begin(around)
    steps = [strategy.extend(around, examples("new", 4)) for _ in range(10)]
    # Then 40 x ratio old events went along (to within one), behind the new ones, marked
    added = [example for step in steps for example in step[4:]]
    assert abs(len(added) - epoch) <= 1
    assert all(example.replayed for example in added)
    assert all([e.event_id for e in step[:4]] == [f"new-{i}" for i in range(4)] for step in steps)


def test_no_event_comes_twice_before_every_other_came_once() -> None:
    # Given a pool of 10, When 25 are drawn
    strategy, around = replay(), context(examples("old", 10))
    strategy.begin(around)
    drawn = Counter(e.event_id for e in strategy.extend(around, examples("new", 25))[25:])
    # Then each came two or three times
    assert len(drawn) == 10
    assert set(drawn.values()) == {2, 3}


def test_nothing_is_replayed_while_nothing_is_stored() -> None:
    # Given an empty pool, Then the batch goes through as it is, and nothing is asked for
    batch, strategy = examples("new", 4), replay()
    strategy.begin(context([]))
    assert strategy.extend(context([]), batch) is batch
    assert replay().plan(stats(new=100, stored=0)) == ()


def test_the_pool_does_not_grow_with_history() -> None:
    # Given little and much history, Then the request is what is stored, and bounded
    assert replay().plan(stats(100, 30)) == (PoolRequest(30, "balanced"),)
    assert replay().plan(stats(100, 10**9)) == (PoolRequest(400, "balanced"),)
    history = replay(ratio=0.5, policy={"kind": "history"})
    assert history.plan(stats(100, 10**9)) == (PoolRequest(200, "uniform"),)


def test_one_epoch_asks_for_no_more_than_it_can_draw() -> None:
    # Given a single epoch, Then a pool of one epoch's replay is enough
    assert replay().plan(stats(100, 10**9, epochs=1)) == (PoolRequest(100, "balanced"),)


def test_the_same_seed_draws_the_same_events() -> None:
    # Given two strategies, When both begin with the same seed, Then they draw alike; another seed differs
    def drawn(seed: int) -> list[str]:
        strategy, around = replay(), context(examples("old", 30), seed)
        strategy.begin(around)
        return [e.event_id for e in strategy.extend(around, examples("new", 10))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def labelled(prefix: str, classes: int, each: int) -> list[Example]:
    return [Example(f"{prefix}-{c}-{i}", (1, 2), c, f"{prefix}-{c}") for c in range(classes) for i in range(each)]


@pytest.mark.parametrize(("balance", "weight"), [(1.0, 6.0), (0.5, 6.0**0.5), (0.0, 1.0)])
def test_a_replayed_event_counts_so_that_classes_weigh_alike(balance: float, weight: float) -> None:
    # Given two new classes, twelve old ones and as many replayed events as new ones
    strategy, around = replay(balance_ratio=balance), context(labelled("old", 12, 4))
    around.new = labelled("new", 2, 10)
    # When a step is extended
    strategy.begin(around)
    step = strategy.extend(around, around.new[:8])
    # Then each replayed event counts 12/2 (to the power asked for), a new one counts 1
    assert [example.weight for example in step[8:]] == pytest.approx([weight] * 8)
    assert {example.weight for example in step[:8]} == {1.0}


def test_where_new_events_bring_every_class_all_count_the_same() -> None:
    # Given new events of as many classes as are stored, or more, Then nothing is weighed up or down
    for classes in (4, 9):
        strategy, around = replay(), context(labelled("c", 4, 5))
        around.new = labelled("c", classes, 5)
        strategy.begin(around)
        assert {example.weight for example in strategy.extend(around, around.new[:8])} == {1.0}


class Even(Policy):
    """Every second event, at half its weight."""

    kind: Literal["even"] = "even"

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(2 * pool), PoolRequest(epoch, "reservoir"))

    def choose(self, context: TrainContext, epoch: int) -> Sequence[Example]:
        assert epoch == 6
        return [replace(example, weight=0.5) for example in context.pool[::2]]


def test_the_policy_says_what_is_drawn_chosen_and_weighs() -> None:
    # Given a policy of one's own
    strategy, around = replay(policy=Even(), ratio=0.5, balance_ratio=0), context(labelled("old", 1, 10))
    around.new = labelled("new", 1, 12)
    # Then the plan is its, within what is stored
    assert strategy.plan(stats(100, 150)) == (PoolRequest(150), PoolRequest(50, "reservoir"))
    # and only what it chose is replayed, with its weight
    strategy.begin(around)
    step = strategy.extend(around, around.new)
    assert {example.event_id for example in step[12:]} <= {f"old-0-{i}" for i in range(0, 10, 2)}
    assert len(step) == 18
    assert {example.weight for example in step[12:]} == {0.5}
