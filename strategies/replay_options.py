"""Options of ``replay``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from strategies.options import Options
from strategies.policies.balanced import Balanced
from strategies.policies.base import Policy
from strategies.policies.registry import read_policy


class ReplayOptions(Options):
    """``replay``: old events trained on beside the new ones."""

    ratio: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Replayed events for each new one."""
    policy: Annotated[Policy, BeforeValidator(read_policy)] = Balanced()
    """Which stored events: a kind of the replay policies, with its options."""
    pool_factor: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Size of the pool: so many times the replayed events of one epoch, at most."""
    balance_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """1: where new events bring few classes and the pool holds many, a replayed event counts for so much
    more that every class weighs alike. 0: every event counts the same. Between: that power of the factor."""
