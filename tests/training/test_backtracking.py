"""How far an update may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.training.backtracking import ROOM, SHORTER, TRIES, backtrack


def tried(flips: dict[float, float], most: float) -> tuple[float, list[float]]:
    """Where it stayed, and where it was. ``flips``: at each end of the way."""
    been: list[float] = []

    def make(ratio: float) -> float:
        been.append(ratio)
        return min(flips, key=lambda known: abs(known - ratio))

    return backtrack(1.0, make, flips.__getitem__, most), been


def test_the_first_point_that_keeps_the_bound_stays() -> None:
    # Given a way of which the end and the next point get too many rows wrong
    found, been = tried({1.0: 0.1, 0.6: 0.05, 0.36: 0.04}, most=0.05)
    # Then the third stays, since a fifth of the bound is kept free
    assert found == 0.36
    assert been == pytest.approx([1.0, SHORTER, SHORTER**2])


def test_whoever_keeps_the_bound_goes_all_the_way() -> None:
    # Given an end within the bound, Then nothing else is tried
    assert tried({1.0: 0.04, 0.6: 0.0}, most=0.05) == (1.0, [1.0])


@given(flips=st.lists(st.floats(0, 1), min_size=TRIES, max_size=TRIES), most=st.floats(0, 1))
def test_it_never_goes_further_than_it_must(flips: list[float], most: float) -> None:
    # Given any flips along the way
    found, been = tried({SHORTER**k: share for k, share in enumerate(flips)}, most)
    # Then all before the point that stays were over the bound, and it is within it or the last
    place = len(been) - 1
    assert found == pytest.approx(SHORTER**place)
    assert all(share > ROOM * most for share in flips[:place])
    assert flips[place] <= ROOM * most or place == TRIES - 1
