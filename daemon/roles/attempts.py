"""A frozen job's attempts: start one, watch it, try again with growing pauses, give up.

Guarantees: a finished attempt that a crash left behind is used, not trained again; at most
``update.max_attempts`` attempts are started by one process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from daemon.clock import Clock
from daemon.config.task import Update
from daemon.roles.jobs import JobShelf
from daemon.update.executor import Executor, RunState
from daemon.update.job import UpdateJob

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """``reason``: ``oom``, ``timeout``, ``non_finite``, ``crash`` ...; ``error``: one line."""

    reason: str
    error: str
    attempts: int


class Attempts:
    """:meth:`step` never blocks."""

    def __init__(self, job: UpdateJob, config: Update, shelf: JobShelf, executor: Executor, clock: Clock) -> None:
        self.job = job
        self.started = clock.monotonic()
        self.failures = 0
        self._config, self._shelf, self._executor, self._clock = config, shelf, executor, clock
        self._run: str | None = None
        self._again = self.started

    def step(self) -> Path | GivenUp | None:
        """The finished attempt's directory, that it was given up, or None while neither is so."""
        if self._run is None:
            done = self._shelf.complete_attempt(self.job.id)
            if done is None and self._clock.monotonic() >= self._again:
                self._run = self._executor.start(
                    str(self._shelf.directory(self.job.id)),
                    str(self._shelf.out(self.job.id)),
                    timeout_s=self._config.timeout_s,
                    max_memory_bytes=self._config.max_memory_bytes,
                )
            return done
        status = self._executor.poll(self._run)
        if status.state is RunState.RUNNING:
            return None
        if status.state is RunState.DONE and status.result_url is not None:
            return Path(status.result_url)
        self._run = None
        self.failures += 1
        place = {"task": self.job.task, "job": self.job.id, "attempt": self.failures}
        log.warning("update_failed", reason=status.reason, error=status.error, **place)
        if self.failures >= self._config.max_attempts:
            return GivenUp(status.reason, status.error, self.failures)
        self._again = self._clock.monotonic() + self._config.retry_s * 2.0 ** (self.failures - 1)
        return None

    def cancel(self) -> None:
        """Stop a running attempt; the next start of the role begins another."""
        if self._run is not None:
            self._executor.cancel(self._run)
