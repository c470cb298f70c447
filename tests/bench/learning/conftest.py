"""A history of our own texts, and an encoder that is small enough to train in a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.bench.learning.history import History, write_own
from daemon.bench.learning.plan import Trial
from tests.models.bases import tiny

CLASSES, PER_CLASS, HELD, GROUPS = 4, 8, 4, 2


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A stream of two groups of two classes each, and its holdout."""
    return write_own(tmp_path_factory.mktemp("history"), CLASSES, PER_CLASS, HELD, GROUPS)


@pytest.fixture
def history(files: tuple[Path, Path]) -> History:
    return History.read(*files, {})


@pytest.fixture(scope="session")
def trial(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """On a random encoder of three narrow layers."""
    base = tiny(tmp_path_factory.mktemp("base"), num_hidden_layers=3).path
    stream, holdout = map(str, files)
    task = {"model": {"base": str(base)}, "training": {"batch_size": 4, "device": "cpu"}}
    return Trial("ours", "", stream, holdout, rate=0.005, task=task, epochs=16, memory_per_class=2, evaluate_every=5)
