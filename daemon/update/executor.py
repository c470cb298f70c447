"""Where a job runs: the port. ``daemon.update.local`` runs it as a process of this machine.

``tests/update/executor_contract.py`` is the suite that every executor passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """``error``: one line that says why, when failed (``oom``, ``timeout``, ``non_finite`` or
    ``crash`` in ``reason``). ``result_url``: the complete attempt's directory, when done."""

    state: RunState
    reason: str = ""
    error: str = ""
    result_url: str | None = None


class Executor(Protocol):
    """Runs ``python -m daemon.training JOB OUT`` somewhere; knows nothing of a job's content.

    Guarantees: 1. attempts write to directories of their own (``attempt-N``), the first complete one
    wins; 2. a run dies with the process that started it; 3. it is killed past its deadline or its
    memory; 4. ``start`` twice for one job gives one run.
    """

    def start(self, job_url: str, out_url: str, *, timeout_s: float, max_memory_bytes: int) -> str:
        """Start the next attempt; returns a run id."""

    def poll(self, run: str) -> RunStatus: ...

    def cancel(self, run: str) -> None:
        """Kill it and return once it is gone."""
