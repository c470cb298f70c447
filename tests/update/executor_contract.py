"""What every executor holds. Derive, and give the fixture ``executor``, which runs ``tests.update.trainer``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from daemon.errors import TrainingError
from daemon.update.executor import Executor, RunState, RunStatus

PATIENCE_S = 30.0
PLENTY = 1 << 40


T = TypeVar("T")


def wait_for(look: Callable[[], T | None]) -> T:
    """Until ``look`` finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing after {PATIENCE_S} s")


def number_in(path: Path) -> int:
    return wait_for(lambda: int(path.read_text()) if path.exists() else None)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Job:
    """A job's directory, and one executor to run it."""

    def __init__(self, executor: Executor, root: Path) -> None:
        self.executor, self.job, self.out = executor, root / "job", root / "out"
        self.job.mkdir()

    def start(self, behaviour: str, *, timeout_s: float = 600, max_memory_bytes: int = PLENTY) -> str:
        (self.job / "behaviour").write_text(behaviour)
        return self.executor.start(str(self.job), str(self.out), timeout_s=timeout_s, max_memory_bytes=max_memory_bytes)

    def end(self, run: str) -> RunStatus:
        def ended() -> RunStatus | None:
            status = self.executor.poll(run)
            return None if status.state is RunState.RUNNING else status

        return wait_for(ended)

    def run(self, behaviour: str, **limits: Any) -> RunStatus:
        return self.end(self.start(behaviour, **limits))


class ExecutorContract:
    @pytest.fixture
    def job(self, executor: Executor, tmp_path: Path) -> Job:
        return Job(executor, tmp_path)

    def test_a_finished_training_says_where_its_result_is(self, job: Job) -> None:
        status = job.run("ok")
        assert status == RunStatus(RunState.DONE, result_url=str(job.out / "attempt-1"))
        nice, own_session, environment = json.loads((job.out / "attempt-1" / "seen.json").read_text())
        assert (nice >= 10, own_session) == (True, True)
        assert environment["OMP_NUM_THREADS"] == "1"

    def test_attempts_have_directories_of_their_own(self, job: Job) -> None:
        # Given two attempts that failed
        for number in (1, 2):
            assert job.run("crash").state is RunState.FAILED
            assert (job.out / f"attempt-{number}" / "log.txt").is_file()
        # Then the third is the one that counts
        assert job.run("ok").result_url == str(job.out / "attempt-3")

    @pytest.mark.parametrize(
        ("behaviour", "reason", "error"),
        [
            ("crash", "crash", "the cat sat on the keyboard"),
            ("told", "non_finite", "loss is nan at step 3"),
            ("status 3", "non_finite", "status 3"),
            ("status 4", "oom", "status 4"),
            ("nothing", "crash", "status 0"),
        ],
    )
    def test_a_failure_says_why(self, job: Job, behaviour: str, reason: str, error: str) -> None:
        status = job.run(behaviour)
        assert (status.state, status.reason, status.result_url) == (RunState.FAILED, reason, None)
        assert error in status.error

    @pytest.mark.parametrize("behaviour", ["hang", "stop"])
    def test_it_is_killed_past_its_deadline(self, job: Job, behaviour: str) -> None:
        # Given a training that hangs, or is stopped and answers no signal
        run = job.start(behaviour, timeout_s=1)
        pid = number_in(job.out / "attempt-1" / "pid")
        # Then it dies, without anybody polling
        wait_for(lambda: gone(pid))
        status = job.end(run)
        assert (status.state, status.reason) == (RunState.FAILED, "timeout")
        assert "update.timeout_s: 1 s" in status.error

    def test_it_is_killed_past_its_memory(self, job: Job) -> None:
        run = job.start("hog", max_memory_bytes=256 << 20)
        wait_for(lambda: gone(number_in(job.out / "attempt-1" / "pid")))
        status = job.end(run)
        assert (status.state, status.reason) == (RunState.FAILED, "oom")
        assert "update.max_memory_bytes: 268435456" in status.error

    def test_starting_twice_gives_one_run(self, job: Job) -> None:
        first = job.start("hang")
        assert job.start("hang") == first
        assert [path.name for path in job.out.iterdir()] == ["attempt-1"]
        job.executor.cancel(first)
        # But once it has ended, a further start is a further attempt
        again = job.start("ok")
        assert again != first
        assert job.end(again).state is RunState.DONE

    def test_cancel_returns_once_it_and_its_children_are_gone(self, job: Job) -> None:
        run = job.start("children")
        pids = [number_in(job.out / "attempt-1" / name) for name in ("pid", "child")]
        job.executor.cancel(run)
        assert gone(pids[0])
        wait_for(lambda: gone(pids[1]))
        assert job.end(run).reason == "cancelled"
        job.executor.cancel(run)

    def test_a_run_that_it_did_not_start_is_named(self, job: Job) -> None:
        with pytest.raises(TrainingError, match="'nobody'"):
            job.executor.poll("nobody")
