"""The clock jumps by a year, there and back: updates start by what came in, not by what the clock says."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from daemon.testing import FakeClock
from tests.models.bases import tiny
from tests.roles.bench import Bench

pytestmark = pytest.mark.chaos

YEAR_S = 365 * 86400.0
JUMPS = 20


class Jumping(FakeClock):
    """``now`` may jump; ``monotonic`` does not."""

    jumped = 0.0

    def now(self) -> float:
        return 2e9 + super().now() + self.jumped


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    tiny(tmp_path / "base")
    made = Bench(tmp_path / "state", str(tmp_path / "base"))
    made.clock = Jumping(1.0)
    made.learner = made.open()
    yield made
    made.buffer.close()
    torch.use_deterministic_algorithms(deterministic)


def test_jumps_of_a_year_neither_start_nor_hold_back_an_update(bench: Bench, rng: random.Random) -> None:
    assert isinstance(bench.clock, Jumping)
    for number in range(JUMPS):
        # When the clock jumps, and the learner is now and then started anew
        bench.clock.jumped = rng.choice((-1, 0, 1)) * YEAR_S * rng.random()
        if rng.random() < 0.3:
            bench.learner = bench.open()
        # Then nothing is trained without new events
        before = bench.executor.started
        bench.settle()
        assert bench.executor.started == before
        # And what comes in is trained on, once, whatever the clock says
        bench.label(rng.randint(12, 20))  # a few of them go to the holdout
        bench.settle()
        assert bench.executor.started == before + 1, f"jump {number}"
        assert bench.learner.new_events == 0
    # And the history is in its order, and a rollback finds its version
    entries = bench.registry.history()
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    champion, previous = bench.champion, bench.registry.alias("support", "previous")
    assert bench.registry.rollback("support", who="test", why="", time=bench.clock.now()) == previous
    assert bench.registry.alias("support", "previous") == champion
