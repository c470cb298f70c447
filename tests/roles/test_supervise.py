"""The supervisor with real children: restarted, drained, and gone with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RUN = """
import sys
from pathlib import Path
from daemon.roles.supervise import Supervisor
children = {name: [sys.executable, "-c", code] for name, code in eval(sys.argv[2]).items()}
sys.exit(Supervisor(children, Path(sys.argv[1]), float(sys.argv[3])).run())
"""
CHILD = "from daemon.roles.process import die_with_parent; die_with_parent(); "
SLEEPER = CHILD + "import time; time.sleep(600)"
STUBBORN = CHILD + "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def start(state: Path, children: dict[str, str], timeout_s: float = 5) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUN, str(state), repr(children), str(timeout_s)])


def pids(state: Path) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads((state / "run.json").read_text())["pids"]
    except FileNotFoundError:
        return {}
    return found


def wait(condition: Callable[[], bool], what: str, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_given_a_child_when_killed_then_it_is_started_again_and_sigterm_drains(tmp_path: Path) -> None:
    # Given two children
    supervisor = start(tmp_path, {"a": SLEEPER, "b": SLEEPER})
    wait(lambda: len(pids(tmp_path)) == 2, "two children")
    first = pids(tmp_path)

    # When one is killed, then another takes its place
    os.kill(first["a"], signal.SIGKILL)
    wait(lambda: pids(tmp_path).get("a", first["a"]) != first["a"], "a restart")
    assert pids(tmp_path)["b"] == first["b"]

    # When the supervisor is told to stop, then all are gone and it says 0
    last = pids(tmp_path)
    time.sleep(0.5)  # the children have asked the kernel by now
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
    assert not any(alive(pid) for pid in last.values())
    assert not (tmp_path / "run.json").exists()


def test_given_a_supervisor_when_killed_then_its_children_die_with_it(tmp_path: Path) -> None:
    supervisor = start(tmp_path, {"a": SLEEPER})
    wait(lambda: "a" in pids(tmp_path), "a child")
    child = pids(tmp_path)["a"]
    time.sleep(1.0)  # until the child has asked the kernel
    supervisor.kill()
    supervisor.wait()
    wait(lambda: not alive(child), "the child outlived its supervisor")


def test_given_a_child_that_ignores_sigterm_when_draining_then_it_is_killed_in_time(tmp_path: Path) -> None:
    supervisor = start(tmp_path, {"a": STUBBORN}, timeout_s=1)
    wait(lambda: "a" in pids(tmp_path), "a child")
    time.sleep(1.0)
    started = time.monotonic()
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
    assert time.monotonic() - started < 5


def test_given_a_configuration_error_when_a_role_says_so_then_everything_stops_with_2(tmp_path: Path) -> None:
    supervisor = start(tmp_path, {"a": SLEEPER, "b": "import sys; sys.exit(2)"})
    assert supervisor.wait(timeout=15) == 2
