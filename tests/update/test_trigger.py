"""When an update starts: a table of moments, then rest, restarts and clocks that jump."""

from __future__ import annotations

import pytest

from daemon.config.task import Trigger as TriggerConfig
from daemon.update.trigger import LONGEST_COOLDOWN_S, Trigger

CONFIG = TriggerConfig(min_events=100, first_ratio=1, least_ratio=0, max_wait_s=1000, cooldown_s=60, max_lag_records=50)


class Clocks:
    """Wall and monotonic seconds, moved apart."""

    def __init__(self) -> None:
        self.wall, self.steady = 1e9, 500.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock() -> Clocks:
    return Clocks()


@pytest.mark.parametrize(
    ("waited", "new", "lag", "reason"),
    [
        (0, 0, 0, None),
        (0, 99, 0, None),
        (0, 100, 0, "count"),
        (0, 100, 50, "count"),
        (0, 100, 51, None),
        (999, 1, 0, None),
        (1000, 1, 0, "time"),
        (1000, 0, 0, None),
        (1000, 1, 51, None),
        (1000, 100, 0, "count"),
    ],
)
def test_the_first_update(clock: Clocks, waited: float, new: int, lag: int, reason: str | None) -> None:
    # Given a task that never had an update, and events that wait since a while
    trigger = Trigger(CONFIG, clock, None, 0)
    trigger.due(min(new, 1), 0)
    clock.advance(waited)
    assert trigger.due(new, lag) == reason


@pytest.mark.parametrize(("rejections", "rest"), [(0, 60), (1, 120), (2, 240), (5, 1920)])
def test_the_rest_doubles_with_every_rejection(clock: Clocks, rejections: int, rest: float) -> None:
    trigger = Trigger(CONFIG, clock, None, 0)
    for _ in range(rejections):
        trigger.finished(rejected=True)
    if rejections == 0:
        trigger.finished(rejected=False)
    assert trigger.cooldown_s == rest
    clock.advance(rest - 1)
    assert trigger.due(1000, 0) is None
    clock.advance(1)
    assert trigger.due(10_000, 0) == "count"


@pytest.mark.parametrize(("rejections", "events"), [(0, 100), (1, 200), (2, 400), (4, 1600), (5, 1600), (5000, 1600)])
def test_the_events_that_are_waited_for_double_with_every_rejection(
    clock: Clocks, rejections: int, events: int
) -> None:
    # Given a history that ended with so many rejections in a row, long ago
    trigger = Trigger(CONFIG, clock, 0.0, rejections)
    assert trigger.due(events - 1, 0) is None
    assert trigger.due(events, 0) == "count"
    # When the next one fails without a verdict, nothing changes
    trigger.finished(rejected=None)
    clock.advance(1e6)
    assert trigger.due(events - 1, 0) is None
    # When it is promoted, it is as before
    trigger.finished(rejected=False)
    clock.advance(60)
    assert (trigger.due(99, 0), trigger.due(100, 0)) == (None, "count")


def test_the_first_update_comes_earlier(clock: Clocks) -> None:
    # Given a task that never had an update
    trigger = Trigger(CONFIG.model_copy(update={"first_ratio": 0.55}), clock, None, 0)
    assert (trigger.due(54, 0), trigger.due(55, 0)) == (None, "count")
    # When it was rejected, the next waits for the usual number, doubled, and so it is after a restart
    trigger.finished(rejected=True)
    clock.advance(1e6)
    for one in (trigger, Trigger(CONFIG, clock, clock.now() - 1e6, 1)):
        assert (one.due(199, 0), one.due(200, 0)) == (None, "count")


def test_a_promotion_ends_the_doubling_and_there_is_a_cap(clock: Clocks) -> None:
    trigger = Trigger(CONFIG, clock, clock.now(), 5000)
    assert trigger.cooldown_s == LONGEST_COOLDOWN_S
    trigger.finished(rejected=False)
    assert trigger.cooldown_s == 60


def test_no_rest_stays_no_rest(clock: Clocks) -> None:
    trigger = Trigger(TriggerConfig(min_events=1, cooldown_s=0), clock, clock.now(), 5000)
    assert trigger.due(16, 0) == "count"


@pytest.mark.parametrize(("ago", "reason"), [(0, None), (119, None), (120, "count"), (1e6, "count"), (-500, None)])
def test_a_restart_changes_nothing(clock: Clocks, ago: float, reason: str | None) -> None:
    # Given a history that says when the last job finished (perhaps by a clock that was ahead)
    trigger = Trigger(CONFIG, clock, clock.now() - ago, 1)
    assert trigger.due(200, 0) == reason


def test_a_clock_that_jumps_starts_nothing(clock: Clocks) -> None:
    trigger = Trigger(CONFIG, clock, None, 0)
    trigger.finished(rejected=False)
    trigger.due(1, 0)
    clock.wall += 1e6
    assert trigger.due(99, 0) is None
    clock.wall -= 2e6
    clock.advance(1000)
    assert trigger.due(1, 0) == "time"


def test_the_wait_begins_with_the_first_event_after_an_update(clock: Clocks) -> None:
    trigger = Trigger(CONFIG, clock, None, 0)
    assert trigger.due(1, 0) is None
    clock.advance(1000)
    trigger.finished(rejected=False)
    assert trigger.due(0, 0) is None
    clock.advance(5000)
    assert trigger.due(1, 0) is None
    clock.advance(1000)
    assert trigger.due(1, 0) == "time"


def test_time_alone_starts_nothing_for_a_handful(clock: Clocks) -> None:
    # Given a task that wants a fifth of its events at least, after two rejections
    trigger = Trigger(CONFIG.model_copy(update={"least_ratio": 0.2}), clock, 0.0, 2)
    trigger.due(1, 0)
    clock.advance(1e6)
    # When it has waited for very long, then with fewer than a fifth of the 400 that it waits for nothing starts
    assert (trigger.due(79, 0), trigger.due(80, 0)) == (None, "time")


@pytest.mark.parametrize(("error", "events"), [(None, 100), (0.2, 100), (0.12, 100), (0.11, 1600), (0.0, 1600)])
def test_while_hardly_anything_is_wrong_updates_after_the_first_wait(
    clock: Clocks, error: float | None, events: int
) -> None:
    # Given a task whose last update was promoted
    trigger = Trigger(CONFIG, clock, 0.0, 0)
    assert trigger.due(events - 1, 0, error) is None
    assert trigger.due(events, 0, error) == "count"
    # And one that had none yet, which does not wait
    assert Trigger(CONFIG, clock, None, 0).due(100, 0, error) == "count"


def test_while_the_history_has_not_grown_nothing_starts_however_long_it_takes(clock: Clocks) -> None:
    # Given a task whose next update is worth its cost with 250 new events, and would otherwise start with 100
    trigger = Trigger(CONFIG, clock, 0.0, 0)
    assert trigger.due(249, 0, growth=250) is None
    # When they have waited long
    clock.advance(5000)
    assert trigger.due(249, 0, growth=250) is None
    # Then those that are waited for start one, and where more are needed anyway these do
    assert trigger.due(250, 0, growth=250) == "count"
    assert (trigger.events(growth=250), trigger.events(growth=50)) == (250, 100)
    # And a task that had none yet does not wait
    assert Trigger(CONFIG, clock, None, 0).due(100, 0, growth=250) == "count"
