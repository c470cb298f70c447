"""Runs a job as a process of this machine: nice 10, own threads, dies with us, deadline, memory watchdog."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from daemon.errors import TrainingError
from daemon.update.executor import RunState, RunStatus
from daemon.update.job import RESULT

WATCH_S = 0.1
EXIT_REASONS = {3: "non_finite", 4: "oom"}


@dataclass(slots=True)
class _Run:
    process: subprocess.Popen[bytes]
    attempt: Path
    job: str
    killed: tuple[str, str] | None = None
    """(reason, error), once the watchdog has killed it."""


class LocalExecutor:
    """Guarantees: those of :class:`daemon.update.executor.Executor`. Start runs from a thread that lives as
    long as they should: a trainer dies with the thread that started it.

    ``module``: what runs; tests put something small in its place.
    """

    def __init__(self, module: str = "daemon.training") -> None:
        self._module = module
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def start(self, job_url: str, out_url: str, *, timeout_s: float, max_memory_bytes: int) -> str:
        with self._lock:
            return self._start(job_url, out_url, timeout_s, max_memory_bytes)

    def _start(self, job_url: str, out_url: str, timeout_s: float, max_memory_bytes: int) -> str:
        for run_id, run in self._runs.items():
            if run.job == job_url and run.process.poll() is None:
                return run_id
        out = Path(out_url)
        out.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.name.rpartition("-")[2]) for path in out.glob("attempt-*")), default=0)
        attempt = out / f"attempt-{number}"
        attempt.mkdir()
        command = [sys.executable, "-m", "daemon.update.child", str(os.getpid()), self._module, job_url, str(attempt)]
        environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", **os.environ}
        with (attempt / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        run = _Run(process, attempt, job_url)
        run_id = str(attempt)
        self._runs[run_id] = run
        deadline = time.monotonic() + timeout_s
        threading.Thread(target=_watch, args=(run, deadline, timeout_s, max_memory_bytes), daemon=True).start()
        return run_id

    def poll(self, run: str) -> RunStatus:
        found = self._runs.get(run)
        if found is None:
            raise TrainingError(f"run {run!r} is not one of ours: {sorted(self._runs)}")
        status = found.process.poll()
        if status is None:
            return RunStatus(RunState.RUNNING)
        if (found.attempt / RESULT).is_file():
            return RunStatus(RunState.DONE, result_url=str(found.attempt))
        reason, error = found.killed or _said(found.attempt, status)
        return RunStatus(RunState.FAILED, reason, error)

    def cancel(self, run: str) -> None:
        found = self._runs.get(run)
        if found is not None:
            _kill(found, "cancelled", "the update was cancelled")
            found.process.wait()


def _watch(run: _Run, deadline: float, timeout_s: float, max_memory_bytes: int) -> None:
    """Until the process has ended: kill it past its deadline or its memory."""
    while run.process.poll() is None:
        if time.monotonic() > deadline:
            _kill(run, "timeout", f"took longer than update.timeout_s: {timeout_s:g} s")
        elif (held := _memory(run.process.pid)) > max_memory_bytes:
            _kill(run, "oom", f"held {held} bytes, more than update.max_memory_bytes: {max_memory_bytes}")
        else:
            time.sleep(WATCH_S)


def _memory(pid: int) -> int:
    """Resident bytes of the process and its children."""
    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _kill(run: _Run, reason: str, error: str) -> None:
    """The whole session: a stopped process dies of SIGKILL too."""
    if run.process.poll() is None:
        run.killed = (reason, error)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


def _said(attempt: Path, status: int) -> tuple[str, str]:
    """(reason, error) of error.json, or what the exit status and the last line of the log tell."""
    try:
        said = orjson.loads((attempt / "error.json").read_bytes())
        return str(said["reason"]), str(said["error"])
    except (OSError, ValueError, KeyError):
        lines: Sequence[str] = (attempt / "log.txt").read_text(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "said nothing"
        return EXIT_REASONS.get(status, "crash"), f"ended with status {status}: {last}"
