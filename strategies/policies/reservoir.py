"""A fixed memory (Vitter 1985; as replay memory: Chaudhry et al. 2019): uniform over all history, and it stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from strategies.base import PoolRequest
from strategies.policies.base import Policy


class Reservoir(Policy):
    """A fixed number of events, uniform over all that are stored and the same from update to update."""

    kind: Literal["reservoir"] = "reservoir"
    max_events: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """How many. All of them are in the pool of every update, whatever `pool_factor` says."""

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        return (PoolRequest(self.max_events, "reservoir"),)
