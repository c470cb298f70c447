"""Commands: in order, once, with an outcome, across processes and restarts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from daemon.errors import ConfigError, RetaindError
from daemon.roles.control import Control


def test_given_commands_when_executed_then_in_order_with_outcomes(tmp_path: Path) -> None:
    # Given two commands of one asker
    asker, role = Control(tmp_path / "control.sqlite"), Control(tmp_path / "control.sqlite")
    first = asker.submit("pause", "support", {}, "me", "why")
    second = asker.submit("promote", "support", {"version": "000002"}, "me", "")

    # When the role executes them
    pending = role.pending("learn")
    assert [(c.id, c.kind, c.why) for c in pending] == [(first, "pause", "why"), (second, "promote", "")]
    role.finish(first, True, {"paused": True})
    role.finish(second, False, {"error": "no such version"})

    # Then the asker gets each outcome, and nothing is left
    assert asker.wait(first, 1).details == {"paused": True}
    outcome = asker.wait(second, 1)
    assert not outcome.ok and outcome.details == {"error": "no such version"}
    assert role.pending("learn") == []


def test_given_a_role_that_died_when_it_comes_back_then_the_command_is_still_pending(tmp_path: Path) -> None:
    Control(tmp_path / "control.sqlite").submit("train_now", "support", {}, "me", "")
    assert len(Control(tmp_path / "control.sqlite").pending("learn")) == 1


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
