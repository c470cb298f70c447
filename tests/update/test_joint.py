"""When an update is joint training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.task import Update
from daemon.update.joint import growth, is_joint

CONFIG = Update(joint_max_events=1000, joint_growth_ratio=0.5)


@pytest.mark.parametrize(
    ("stored", "before", "joint"),
    [
        (0, 0, False),
        (1, 0, True),
        (1000, 0, True),
        (1001, 0, False),
        (300, 201, False),
        (300, 200, True),
        (1000, 667, False),
        (1000, 666, True),
        (200, 300, False),
    ],
)
def test_a_short_history_that_has_grown_is_learned_from_anew(stored: int, before: int, joint: bool) -> None:
    assert is_joint(CONFIG, stored, before) == joint


def test_with_zero_it_never_is_and_without_growth_it_always_is() -> None:
    assert not is_joint(Update(joint_max_events=0), 5, 0)
    assert is_joint(Update(joint_max_events=10, joint_growth_ratio=0), 10, 10)


@given(before=st.integers(0, 2000), new=st.integers(1, 2000), ratio=st.floats(0, 3), most=st.integers(0, 2000))
def test_an_update_waits_for_growth_as_long_as_the_next_can_be_joint(
    before: int, new: int, ratio: float, most: int
) -> None:
    # Given any bounds, and a history of which the last joint training knew all but what is new
    config = Update(joint_max_events=most, joint_growth_ratio=ratio)
    wanted = growth(config, before)
    # Then what has grown by what is waited for is joint, unless it jumped over the bound, and what has not is none
    if wanted:
        assert is_joint(config, before + new, before) == (before + new <= most and new >= wanted)
    # And nothing is waited for where none can be joint before the bound
    elif before and ratio:
        assert not is_joint(config, before + new, before)
