"""What every task's learner shares; the composition root fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import torch

from daemon.beside import AT_ONCE
from daemon.buffer.ports import BufferReader
from daemon.clock import Clock
from daemon.config.paths import StatePaths
from daemon.config.task import TaskConfig
from daemon.observe import Observer
from daemon.registry.version import Registry
from daemon.update.executor import Executor as UpdateExecutor
from strategies.base import Strategy


@dataclass(frozen=True, slots=True)
class Surroundings:
    reader: BufferReader
    registry: Registry
    executor: UpdateExecutor
    paths: StatePaths
    clock: Clock
    observer: Observer
    device: torch.device
    lag: Callable[[], int]
    """Records of the stream that are not stored yet."""
    strategies: Callable[[TaskConfig], Sequence[Strategy]]
    """Makes a task's strategies, to ask them what they want replayed."""
    announce: Callable[[str, Mapping[str, Any]], None]
    """(kind, details) of every promotion, rejection and rollback, for the versions topic. Raises nothing."""
    fold_batch: int
    snapshot_s: float
    keep_versions: int
    beside: Executor = AT_ONCE
    """Where slow work is done that must not hold up the folding."""
    always_promote: bool = False
    """Backtests with ``--gate off``: the verdict is recorded and every candidate promoted."""
    seed: int = 0
