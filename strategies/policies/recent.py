"""A mix of recent and old: what changed lately is rehearsed more, without letting go of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from strategies.base import PoolRequest
from strategies.policies.base import Policy


class Recent(Policy):
    """A share drawn from the latest events, the chance halving with age; the rest from all history alike."""

    kind: Literal["recent"] = "recent"
    share_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The recent share of the pool."""
    half_life_events: Annotated[int, Field(ge=1, le=20_000)] = 1000
    """Of the recent share: an event's chance halves with every so many events that came after it."""

    def plan(self, pool: int, epoch: int) -> Sequence[PoolRequest]:
        recent = ceil(pool * self.share_ratio)
        asked = (PoolRequest(recent, "recent", self.half_life_events), PoolRequest(pool - recent, "uniform"))
        return tuple(request for request in asked if request.n)
