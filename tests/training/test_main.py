"""``python -m daemon.training JOB OUT`` as an executor starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from daemon.errors import NonFiniteLoss, TrainingError
from daemon.training.__main__ import main, reason_of, report
from daemon.update.job import read_result
from tests.training import jobs


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("main")
    base = jobs.base_version(root / "000001")
    return jobs.write(root / "job", base, {"new": jobs.rows(["card", "fee"], 2)}, ["card", "fee"])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "daemon.training", *arguments]


def test_a_job_becomes_a_result(job: Path, tmp_path: Path) -> None:
    # Given a job, When the module is run, Then it exits 0 and leaves a result
    out = tmp_path / "attempt-1"
    done = subprocess.run(command(str(job), str(out)), check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert read_result(out).job == "000007"
    assert not (out / "error.json").exists()


def test_a_changed_job_is_not_trained(job: Path, tmp_path: Path) -> None:
    # Given a job whose rows were changed after it was frozen
    broken = tmp_path / "job"
    subprocess.run(["cp", "-r", str(job), str(broken)], check=True)
    (broken / "new.jsonl").write_bytes(b"")
    # When it is run, Then it exits 1 with one line that says why, and no result
    out = tmp_path / "attempt-1"
    assert main([str(broken), str(out)]) == 1
    error = orjson.loads((out / "error.json").read_bytes())
    assert error["reason"] == "crash"
    assert error["error"].startswith("TrainingError: ")
    assert "new.jsonl" in error["error"]
    assert not (out / "result.json").exists()


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    # Given one argument, Then usage is told
    assert main(["job"]) == 2
    assert "JOB OUT" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (NonFiniteLoss("loss: nan\nat step 3"), "non_finite", 3),
        (MemoryError(), "oom", 4),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "oom", 4),
        (RuntimeError("shapes"), "crash", 1),
        (TrainingError("empty"), "crash", 1),
    ],
)
def test_each_failure_has_its_reason_and_status(tmp_path: Path, error: Exception, reason: str, status: int) -> None:
    # Given a failure, Then the exit status says what kind, and error.json holds one line
    assert reason_of(error) == reason
    assert report(tmp_path, error) == status
    written = orjson.loads((tmp_path / "error.json").read_bytes())
    assert written["reason"] == reason
    assert "\n" not in written["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    # Given a parent that started a process which did as the trainer does at its start
    child = "from daemon.training.__main__ import die_with_parent as d; import time; d(); print('up', flush=True); "
    parent = (
        "import subprocess, sys; "
        f"p = subprocess.Popen([sys.executable, '-c', {child + 'time.sleep(60)'!r}], stdout=subprocess.PIPE); "
        "p.stdout.readline(); print(p.pid, flush=True); import time; time.sleep(60)"
    )
    started = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    # When the parent is killed, Then the process goes too
    started.send_signal(signal.SIGKILL)
    started.wait()
    started.stdout.close()
    for _ in range(500):
        if not running(pid):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("it outlived its parent")


def running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
