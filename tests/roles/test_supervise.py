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
CHILD = "from daemon.process import die_with_parent; die_with_parent(); "
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


def test_given_a_program_that_is_not_there_when_supervised_then_said_and_nothing_is_left(tmp_path: Path) -> None:
    code = RUN.replace('[sys.executable, "-c", code]', '[sys.executable, "-c", code] if name == "a" else ["/no/such"]')
    command = [sys.executable, "-c", code, str(tmp_path), repr({"a": SLEEPER, "b": ""}), "5"]
    ended = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert b"role b: '/no/such' cannot be started" in ended.stderr
    assert not (tmp_path / "run.json").exists()


def test_given_a_ctrl_c_when_it_reaches_the_whole_group_then_children_get_one_signal_only(tmp_path: Path) -> None:
    # Given a child that counts its signals, and a supervisor with a process group of its own, as in a terminal
    seen = tmp_path / "seen"
    counting = (
        "import signal, time, sys; from pathlib import Path; "
        f"seen = Path({str(seen)!r}); seen.write_text(''); "
        "note = lambda n, f: (seen.open('a').write(f'{n} '), time.sleep(0.3), sys.exit(0)); "
        "signal.signal(signal.SIGINT, note); signal.signal(signal.SIGTERM, note); time.sleep(600)"
    )
    command = [sys.executable, "-c", RUN, str(tmp_path), repr({"a": counting}), "5"]
    supervisor = subprocess.Popen(command, process_group=0)
    wait(seen.exists, "the child")
    time.sleep(0.2)

    # When the terminal sends SIGINT to the foreground group
    os.killpg(supervisor.pid, signal.SIGINT)

    # Then the child is asked once to end
    assert supervisor.wait(timeout=10) == 0
    assert seen.read_text().split() == [str(int(signal.SIGTERM))]


def test_given_a_drain_when_a_second_signal_comes_then_children_are_killed_at_once(tmp_path: Path) -> None:
    supervisor = start(tmp_path, {"a": STUBBORN}, timeout_s=60)
    wait(lambda: "a" in pids(tmp_path), "a child")
    time.sleep(0.7)
    supervisor.terminate()
    time.sleep(0.3)
    assert supervisor.poll() is None
    supervisor.terminate()
    assert supervisor.wait(timeout=5) == 0


def test_given_a_child_that_keeps_dying_when_restarted_then_with_growing_pauses(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    dying = f"import time, sys; open({str(starts)!r}, 'a').write(f'{{time.time()}}\\n'); sys.exit(1)"
    supervisor = start(tmp_path, {"a": dying})
    wait(lambda: starts.exists() and len(starts.read_text().split()) >= 4, "four starts")
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
    at = [float(line) for line in starts.read_text().split()]
    assert at[1] - at[0] >= 0.2
    assert at[2] - at[1] >= 0.4
    assert at[3] - at[2] >= 0.8


def test_given_a_run_file_that_cannot_be_written_when_a_child_dies_then_it_is_started_again_all_the_same(
    tmp_path: Path,
) -> None:
    # Given a child that tells its pid, and a directory that takes no further file
    told = tmp_path / "told"
    code = f"import os; open({str(told)!r}, 'a').write(f'{{os.getpid()}}\\n'); {SLEEPER}"
    supervisor = start(tmp_path, {"a": code})
    wait(lambda: told.exists() and len(told.read_text().split()) == 1, "a child")
    (tmp_path / ".run.json.tmp").mkdir()
    # When it is killed
    os.kill(int(told.read_text()), signal.SIGKILL)
    # Then another takes its place, and the supervisor is there
    wait(lambda: len(told.read_text().split()) == 2, "a restart")
    assert supervisor.poll() is None
    supervisor.terminate()
    assert supervisor.wait(timeout=10) == 0
