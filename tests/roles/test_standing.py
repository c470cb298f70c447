"""Where a task stands follows from its history; commands change nothing but the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.errors import CommandRefused
from daemon.registry.store import FileRegistry
from daemon.registry.version import VersionMeta
from daemon.roles.commands import COMMANDS
from daemon.roles.standing import standing
from daemon.testing import FakeClock


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    """Three versions of ``support``, the first of them served."""
    made = FileRegistry(tmp_path / "registry")
    for number in range(3):
        staging = tmp_path / f"staging-{number}"
        staging.mkdir()
        (staging / "labels.json").write_text("[]")
        made.publish(staging, VersionMeta("support", "sequence", "base", "0" * 64, 8), created=float(number))
    made.promote("support", "000001", who="retaind", why="base", time=0.0)
    return made


def verdict(registry: FileRegistry, cursor: int, *, promote: bool) -> None:
    details = {"cursor": cursor, "promote": promote, "promoted": promote}
    registry.record("verdict", "support", "000002", who="gate", why="", time=float(cursor), details=details)


def test_given_rejections_in_a_row_when_read_then_they_are_counted_until_a_pass(registry: FileRegistry) -> None:
    for cursor in (10, 20):
        verdict(registry, cursor, promote=False)
    assert (standing(registry, "support").rejections, standing(registry, "support").covered) == (2, 20)
    verdict(registry, 30, promote=True)
    assert standing(registry, "support").rejections == 0


def test_given_a_rejected_candidate_that_the_gate_promotes_later_then_rejections_end(registry: FileRegistry) -> None:
    verdict(registry, 10, promote=False)
    # When a person promotes it, nothing is known of a gain
    registry.promote("support", "000002", who="me", why="", time=11.0)
    assert (standing(registry, "support").rejections, standing(registry, "support").finished) == (1, 10.0)
    # When the gate does, there was one, and the rest begins anew
    registry.promote("support", "000003", who="gate", why="", time=12.0)
    now = standing(registry, "support")
    assert (now.rejections, now.finished, now.covered) == (0, 12.0, 10)


def test_given_a_rollback_when_read_then_held_until_someone_promotes(registry: FileRegistry) -> None:
    clock = FakeClock(5.0)
    COMMANDS["promote"](registry, clock, "support", {"version": "000002"}, "me", "")
    assert not standing(registry, "support").held
    outcome = COMMANDS["rollback"](registry, clock, "support", {}, "me", "bad answers")
    assert outcome["champion"] == registry.alias("support", "champion") == "000001"
    assert standing(registry, "support").held
    COMMANDS["promote"](registry, clock, "support", {"version": "000003"}, "me", "")
    assert not standing(registry, "support").held
    COMMANDS["promote"](registry, clock, "support", {"version": "000002", "hold": True}, "me", "")
    assert standing(registry, "support").held


def test_given_a_pause_when_resumed_then_both_stand_in_the_history(registry: FileRegistry) -> None:
    COMMANDS["pause"](registry, FakeClock(1.0), "support", {}, "me", "holiday")
    assert standing(registry, "support").paused
    COMMANDS["resume"](registry, FakeClock(2.0), "support", {}, "me", "back")
    assert not standing(registry, "support").paused
    assert [(e.kind, e.why) for e in registry.history("support")][-2:] == [("paused", "holiday"), ("resumed", "back")]


def test_given_another_tasks_version_when_promoted_then_refused_by_name(registry: FileRegistry) -> None:
    with pytest.raises(CommandRefused, match="belongs to task"):
        COMMANDS["promote"](registry, FakeClock(), "mood", {"version": "000001"}, "me", "")
    assert registry.alias("mood", "champion") is None
