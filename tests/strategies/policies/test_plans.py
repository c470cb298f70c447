"""What each policy asks the buffer for."""

from __future__ import annotations

from typing import Any

import pytest

from strategies.base import PoolRequest
from strategies.policies.recent import Recent
from strategies.policies.registry import POLICIES

PLANS: dict[str, tuple[dict[str, Any], list[PoolRequest]]] = {
    "balanced": ({}, [PoolRequest(40, "balanced")]),
    "history": ({}, [PoolRequest(40, "uniform")]),
    "recent": ({}, [PoolRequest(20, "recent", 1000), PoolRequest(20, "uniform")]),
    "reservoir": ({"max_events": 77}, [PoolRequest(77, "reservoir")]),
    "herding": ({}, [PoolRequest(30, "balanced")]),
    "hard": ({"candidates_factor": 2.5}, [PoolRequest(25, "balanced")]),
    "drift_aware": ({}, [PoolRequest(40, "balanced")]),
}


@pytest.mark.parametrize("kind", list(POLICIES))
def test_a_plan_is_bounded_by_the_options(kind: str) -> None:
    # Given an update that replays 10 events an epoch, 40 in all, Then the policy asks for its share and no more
    options, requests = PLANS[kind]
    assert list(POLICIES[kind].model_validate(options).plan(40, 10)) == requests


def test_recent_shares_add_up_to_the_pool() -> None:
    # Given any share, Then both requests together are the pool, and none is empty
    for ratio in (0.01, 0.3, 0.99, 1.0):
        asked = Recent(share_ratio=ratio, half_life_events=7).plan(33, 9)
        assert sum(request.n for request in asked) == 33
        assert all(request.n > 0 for request in asked)
        assert asked[0].half_life_events == 7
