"""Classes in equal shares, each drawn from all its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from strategies.base import PoolRequest
from strategies.policies.base import Policy


class Balanced(Policy):
    """Old classes in equal shares: a rare one is rehearsed as often as a common one."""

    kind: Literal["balanced"] = "balanced"

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(pool, "balanced"),)
