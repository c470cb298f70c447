"""One seed for every fault round: ``RETAIND_CHAOS_SEED``. Each round prints it, and draws from it alone."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Daemon

SEED = int(os.environ.get("RETAIND_CHAOS_SEED", "20261124"))


@pytest.fixture
def rng(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> random.Random:
    """Of this round: another one in each test."""
    with capsys.disabled():
        print(f"\nRETAIND_CHAOS_SEED={SEED} {request.node.name}")  # noqa: T201
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons on a directory, and leaves none running."""
    made: list[Daemon] = []

    def make(directory: Path = tmp_path, **settings: Any) -> Daemon:
        made.append(Daemon(directory, **settings))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
