"""Options of ``replay``. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from strategies.options import Options


class ReplayOptions(Options):
    """``replay``: old events trained on beside the new ones."""

    ratio: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Replayed events for each new one."""
    policy: Literal["balanced", "uniform"] = "balanced"
    """``balanced``: the pool holds old classes in equal shares. ``uniform``: as often as they were stored."""
    pool_factor: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Size of the pool: so many times the replayed events of one epoch, at most."""
