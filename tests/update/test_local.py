"""The executor of this machine: its contract, and that a trainer dies with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.update.local import LocalExecutor
from tests.update.executor_contract import ExecutorContract, Job, gone, number_in, wait_for

ROOT = str(Path(__file__).parents[2])
PARENT = """
import sys, time
from daemon.update.local import LocalExecutor
LocalExecutor("tests.update.trainer").start(sys.argv[1], sys.argv[2], timeout_s=600, max_memory_bytes=1 << 40)
time.sleep(600)
"""


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExecutor]:
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = LocalExecutor("tests.update.trainer")
    yield made
    for run in list(made._runs):
        made.cancel(run)


class TestLocalExecutor(ExecutorContract):
    pass


@pytest.mark.parametrize("behaviour", ["hang", "stop"])
def test_a_training_dies_with_its_parent(tmp_path: Path, behaviour: str) -> None:
    # Given a process that has started a training
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "behaviour").write_text(behaviour)
    arguments = [str(tmp_path / "job"), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": ROOT}
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments], env=environment) as parent:
        pid = number_in(tmp_path / "out" / "attempt-1" / "pid")
        # When it is killed
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    # Then the training is gone too
    wait_for(lambda: gone(pid))


def test_a_training_whose_parent_is_gone_does_not_begin(tmp_path: Path) -> None:
    # Given a parent that died before the trainer could ask to die with it
    command = [sys.executable, "-m", "daemon.update.child", "1234567", "tests.update.trainer", str(tmp_path), "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    # Then nothing of the trainer runs (its first act would fail: there is no behaviour)
    assert (done.returncode, done.stderr) == (1, b"")


def test_threads_that_start_one_job_at_once_get_one_run(executor: LocalExecutor, tmp_path: Path) -> None:
    job = Job(executor, tmp_path)
    # Given the threads live as long as their trainer should
    runs: list[str] = []
    together, leave = threading.Barrier(4), threading.Event()

    def start() -> None:
        together.wait()
        runs.append(job.start("hang"))
        leave.wait()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(runs) == 4)
    assert len(set(runs)) == 1
    executor.cancel(runs[0])
    leave.set()
    for thread in threads:
        thread.join()


def test_threads_given_in_the_environment_stay(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    job = Job(executor, tmp_path)
    job.run("ok")
    assert '"OMP_NUM_THREADS": "7"' in (job.out / "attempt-1" / "seen.json").read_text()
