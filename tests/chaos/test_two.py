"""Two daemons on one directory, and which of them goes on when the first is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.chaos.test_disk import QUIET, everything, offer
from tests.daemon.harness import Daemon

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_a_second_daemon_is_refused_by_name_until_the_first_is_killed(
    make_daemon: Callable[..., Daemon], rng: random.Random
) -> None:
    # Given a daemon under load
    first, acknowledged = make_daemon(**QUIET).start().ready(), list[str]()
    offer(first, 40, acknowledged)
    pids = first.pids()
    # When another one is started on the same directory, twice
    for _ in range(2):
        second = make_daemon(**QUIET).start().process
        assert second is not None
        while second.poll() is None:
            offer(first, rng.randint(1, 5), acknowledged)
            time.sleep(0.1)
        # Then it ends with 1 and names the holder, and the first goes on untouched
        assert second.returncode == 1
        assert f"the run role is held by process {first.process.pid if first.process else 0}" in first.tail()
        assert first.pids() == pids
    # And once the first is killed, another takes over at once and has everything
    first.kill()
    heir = make_daemon(**QUIET).start().ready()
    offer(heir, 10, acknowledged)
    everything(heir, acknowledged)
