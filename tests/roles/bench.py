"""The learner of one task on real rooms (buffer, registry, trainer's code) and a small encoder.

Only the executor is a fake: it trains in this process when the test says so, or fails as the test says.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

import torch

from daemon.beside import AT_ONCE
from daemon.buffer.sqlite import SqliteBufferReader, SqliteBufferWriter
from daemon.clock import SystemClock
from daemon.config.models import BufferConfig
from daemon.config.paths import StatePaths
from daemon.config.task import TaskConfig
from daemon.observe import NullObserver
from daemon.registry.store import FileRegistry
from daemon.roles.learner import TaskLearner
from daemon.roles.surroundings import Surroundings
from daemon.tasks.schema import get_schema
from daemon.testing import FakeClock
from daemon.training.attempt import Attempt
from daemon.update.executor import RunState, RunStatus
from tests.buffer.support import TASK, HandClock, Opened, arrival

Mischief = Callable[[Path], None]
TEXTS = ("the card is lost", "the parcel is late", "give back the fee")


class HereExecutor:
    """Trains at the first poll, in this process; ``mischief`` is done to the finished attempt."""

    def __init__(self) -> None:
        self.failing = 0
        self.started = 0
        self.running = False
        self.mischief: Mischief = lambda attempt: None
        self._runs: dict[str, Path] = {}

    def start(self, job_url: str, out_url: str, *, timeout_s: float, max_memory_bytes: int) -> str:
        self.started += 1
        run = f"{out_url}/attempt-{self.started}"
        self._runs[run] = Path(job_url)
        return run

    def poll(self, run: str) -> RunStatus:
        if self.running:
            return RunStatus(RunState.RUNNING)
        if self.failing:
            self.failing -= 1
            return RunStatus(RunState.FAILED, "oom", "held too much")
        attempt = Path(run)
        Attempt(self._runs[run], attempt, SystemClock()).run()
        self.mischief(attempt)
        return RunStatus(RunState.DONE, result_url=run)

    def cancel(self, run: str) -> None:
        return


class Bench:
    """A learner with everything around it; ``settle`` steps until there is nothing to do."""

    def __init__(self, root: Path, base: str) -> None:
        self.paths = StatePaths(root)
        self.paths.make()
        self.config = TaskConfig.model_validate(
            {
                "model": {"base": base, "max_tokens": 16},
                "tune": {"kind": "head"},
                "head": {"kind": "ncm", "layers": 1},
                "training": {"epochs": 1},
                "trigger": {"min_events": 6, "first_ratio": 1, "calm_ratio": 0, "cooldown_s": 0},
                "gate": {"insufficient": "promote"},
            }
        )
        writer = SqliteBufferWriter(self.paths.buffer, {TASK: self.config}, BufferConfig(), HandClock())
        self.buffer = Opened(writer, SqliteBufferReader(self.paths.buffer), HandClock())
        self.registry, self.executor, self.clock = FileRegistry(self.paths.registry), HereExecutor(), FakeClock(1.0)
        self.count = 0
        self.beside: Executor = AT_ONCE
        self.learner = self.open()

    def open(self, keep_versions: int = 10) -> TaskLearner:
        around = Surroundings(
            reader=self.buffer.reader,
            registry=self.registry,
            executor=self.executor,
            paths=self.paths,
            clock=self.clock,
            observer=NullObserver(),
            device=torch.device("cpu"),
            lag=lambda: 0,
            strategies=lambda config: [],
            announce=lambda kind, details: None,
            fold_batch=64,
            snapshot_s=1,
            keep_versions=keep_versions,
            beside=self.beside,
        )
        return TaskLearner(TASK, self.config, get_schema("sequence"), around)

    def label(self, n: int, source: str = "") -> list[str]:
        ids = [f"e{i}" for i in range(self.count, self.count + n)]
        for i, event_id in enumerate(ids, self.count):
            text = f"{TEXTS[i % 3]} {i}"
            self.buffer.put(arrival(event_id, text, f"class {i % 3}", offset=i, at=float(i), source=source))
        self.count += n
        return ids

    def settle(self) -> None:
        """Time passes while there is nothing to do but wait."""
        for _ in range(200):
            if not self.learner.step():
                self.clock.advance(10)
                if not self.learner.step() and not self.learner.updating:
                    return

    @property
    def champion(self) -> str | None:
        return self.registry.alias(TASK, "champion")

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.registry.history(TASK)]
