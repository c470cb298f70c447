"""Commands: in order, once, with an outcome, across processes and restarts."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from daemon.errors import ConfigError, RetaindError
from daemon.roles.control import MAX_STARTS, Control


def test_given_commands_when_executed_then_in_order_with_outcomes(tmp_path: Path) -> None:
    # Given two commands of one asker
    asker, role = Control(tmp_path / "control.sqlite"), Control(tmp_path / "control.sqlite")
    first = asker.submit("pause", "support", {}, "me", "why")
    second = asker.submit("promote", "support", {"version": "000002"}, "me", "")

    # When the role executes them
    pending = list(role.pending("learn"))
    assert [(c.id, c.kind, c.why) for c in pending] == [(first, "pause", "why"), (second, "promote", "")]
    role.finish(first, True, {"paused": True})
    role.finish(second, False, {"error": "no such version"})

    # Then the asker gets each outcome, and nothing is left
    assert asker.wait(first, 1).details == {"paused": True}
    outcome = asker.wait(second, 1)
    assert not outcome.ok
    assert outcome.details == {"error": "no such version"}
    assert list(role.pending("learn")) == []


def test_given_a_role_that_died_when_it_comes_back_then_the_command_is_still_pending(tmp_path: Path) -> None:
    Control(tmp_path / "control.sqlite").submit("train_now", "support", {}, "me", "")
    assert len(list(Control(tmp_path / "control.sqlite").pending("learn"))) == 1


def test_given_an_outcome_when_finished_twice_then_the_first_stands(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.sqlite")
    number = control.submit("pause", "support", {}, "me", "")
    control.finish(number, True, {"n": 1})
    control.finish(number, False, {"n": 2})
    assert control.wait(number, 0).details == {"n": 1}


def test_given_a_waiting_asker_when_the_role_answers_then_it_returns(tmp_path: Path) -> None:
    path = tmp_path / "control.sqlite"
    asker = Control(path)
    number = asker.submit("pause", "support", {}, "me", "")
    threading.Timer(0.2, lambda: Control(path).finish(number, True, {})).start()
    assert asker.wait(number, 5).ok


def test_given_nobody_when_waiting_then_an_error_says_that_the_command_stays(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.sqlite")
    with pytest.raises(RetaindError, match="stays in the log"):
        control.wait(control.submit("pause", "support", {}, "me", ""), 0.1)


def test_given_an_unknown_kind_when_submitted_then_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="allowed are promote"):
        Control(tmp_path / "control.sqlite").submit("explode", "support", {}, "me", "")


def test_given_a_role_that_died_under_a_rollback_when_it_comes_back_then_it_is_reported_not_repeated(
    tmp_path: Path,
) -> None:
    # Given a rollback that was handed out, and one behind it; the role dies before it finishes
    control = Control(tmp_path / "control.sqlite")
    first = control.submit("rollback", "support", {}, "me", "")
    second = control.submit("rollback", "support", {}, "me", "")
    assert next(iter(control.pending("learn"))).id == first

    # When it comes back, then only the one that it had not begun is handed out
    again = Control(tmp_path / "control.sqlite")
    assert [command.id for command in again.pending("learn")] == [second]
    outcome = control.wait(first, 0)
    assert not outcome.ok
    assert "interrupted" in outcome.details["error"]


def test_given_a_command_that_kills_its_role_when_it_did_so_thrice_then_it_is_given_up(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.sqlite")
    number = control.submit("pause", "support", {}, "me", "")
    for _ in range(MAX_STARTS):
        assert [command.id for command in Control(tmp_path / "control.sqlite").pending("learn")] == [number]
    assert list(Control(tmp_path / "control.sqlite").pending("learn")) == []
    assert not control.wait(number, 0).ok


def test_given_finished_and_waiting_commands_when_asked_for_history_then_newest_first(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.sqlite")
    numbers = [control.submit("pause", "support", {}, "me", f"reason {n}") for n in range(3)]
    control.finish(numbers[0], True, {"paused": True})
    entries = control.history(10)
    assert [entry.command.why for entry in entries] == ["reason 2", "reason 1", "reason 0"]
    assert entries[0].outcome is None
    assert entries[2].outcome is not None
    assert entries[2].outcome.ok
    assert len(control.history(2)) == 2


def test_given_several_processes_when_they_make_the_file_and_submit_at_once_then_nothing_is_lost(
    tmp_path: Path,
) -> None:
    code = (
        "import sys; from pathlib import Path; from daemon.roles.control import Control\n"
        "c = Control(Path(sys.argv[1]))\n"
        "for n in range(10): c.submit('pause', 'support', {'n': n}, sys.argv[2], '')"
    )
    path = tmp_path / "control.sqlite"
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)]) for n in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0] * 4
    commands = list(Control(path).pending("learn"))
    assert len(commands) == 40
    for who in "0123":
        assert [command.args["n"] for command in commands if command.who == who] == list(range(10))


def test_given_one_control_when_threads_share_it_then_each_gets_its_outcome(tmp_path: Path) -> None:
    control, outcomes = Control(tmp_path / "control.sqlite"), list[int]()

    def ask(n: int) -> None:
        outcomes.append(control.wait(control.submit("pause", "support", {"n": n}, "me", ""), 20).details["n"])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for command in control.pending("learn"):
            control.finish(command.id, True, {"n": command.args["n"]})
    assert sorted(outcomes) == list(range(8))
