"""All history alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from strategies.base import PoolRequest
from strategies.policies.base import Policy


class History(Policy):
    """Every stored event with the same chance: old classes as often as they were stored."""

    kind: Literal["history"] = "history"

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(pool, "uniform"),)
