"""A job's replay pool, drawn from the real buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.config.models import BufferConfig
from daemon.config.task import SplitConfig, TaskConfig
from daemon.events import Split, StoredEvent
from daemon.update.pool import PoolSource
from strategies.base import BaseStrategy, PlanStats, PoolRequest
from tests.buffer.support import TASK, HandClock, Opened, arrival, delete

STORED, NEW = 300, 60


class Asks(BaseStrategy):
    def __init__(self, *requests: PoolRequest) -> None:
        self.requests = requests

    def plan(self, stats: PlanStats) -> Sequence[PoolRequest]:
        return self.requests


@pytest.fixture
def buffer(tmp_path: Path) -> Iterator[Opened]:
    """Classes a to e; 300 events stored, and 60 more."""
    clock, path = HandClock(), tmp_path / "buffer.sqlite"
    tasks = {TASK: TaskConfig(split=SplitConfig(validation_ratio=0, holdout_ratio=0))}
    writer = SqliteBufferWriter(path, tasks, BufferConfig(), clock)
    opened = Opened(writer, SqliteBufferReader(path), clock)
    opened.put(*(arrival(f"e{i}", f"text {i}", "abcde"[i % 5], at=i, offset=i) for i in range(STORED + NEW)))
    yield opened
    opened.close()


def pool(buffer: Opened, *strategies: BaseStrategy, seed: int = 3, teaches: Any = None) -> list[StoredEvent]:
    cursor = buffer.reader.last_seq(TASK)
    new = buffer.reader.labelled(TASK, Split.TRAIN, before_seq=cursor, limit=NEW)
    source = PoolSource(buffer.reader, TASK, new, teaches or (lambda event: True), cursor)
    return source.pool(strategies, PlanStats(NEW, STORED, {}, 4, 32, seed))


def numbers(events: Sequence[StoredEvent]) -> list[int]:
    return [int(event.id[1:]) for event in events]


@pytest.mark.parametrize("policy", ["balanced", "uniform", "recent", "reservoir"])
@pytest.mark.parametrize("n", [50, STORED])
def test_every_kind_of_request_gives_so_many_older_events(buffer: Opened, policy: Any, n: int) -> None:
    # Given a request, When the pool is drawn, Then it has exactly so many, each once, none of them new
    drawn = numbers(pool(buffer, Asks(PoolRequest(n, policy, half_life_events=20))))
    assert len(drawn) == len(set(drawn)) == n
    assert max(drawn) < STORED
    assert drawn == numbers(pool(buffer, Asks(PoolRequest(n, policy, half_life_events=20))))


def test_recent_counts_age_from_the_oldest_new_event(buffer: Opened) -> None:
    # Given a half-life of 10, Then most of the draw is of the last twenty stored, whatever is new
    drawn = numbers(pool(buffer, Asks(PoolRequest(10, "recent", half_life_events=10))))
    assert sum(number >= STORED - 30 for number in drawn) >= 6


def test_requests_of_one_strategy_add_up_and_those_of_two_are_shared(buffer: Opened) -> None:
    # Given a strategy that asks twice, Then nothing is drawn twice
    mix = Asks(PoolRequest(80, "recent", 50), PoolRequest(80, "uniform"))
    assert len(pool(buffer, mix)) == 160
    # When a second one asks for the like, Then the same events serve both
    assert len(pool(buffer, mix, Asks(PoolRequest(80, "recent", 50)))) == 160


def test_the_reservoir_is_the_same_for_every_seed_and_lets_in_what_is_erased_leaves(buffer: Opened) -> None:
    # Given two updates with other seeds, Then the same events
    ask = Asks(PoolRequest(40, "reservoir"))
    first = set(numbers(pool(buffer, ask, seed=1)))
    assert set(numbers(pool(buffer, ask, seed=2))) == first
    # When one of them is erased, Then one other comes in
    gone = min(first)
    buffer.put(delete(f"e{gone}"))
    after = set(numbers(pool(buffer, ask)))
    assert first - after == {gone}
    assert len(after) == 40


def test_what_does_not_teach_is_left_out(buffer: Opened) -> None:
    drawn = pool(buffer, Asks(PoolRequest(STORED, "reservoir")), teaches=lambda event: event.label != "a")
    assert {event.label for event in drawn} == set("bcde")
