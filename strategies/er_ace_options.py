"""Options of ``er_ace``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.replay_options import ReplayOptions


class ErAceOptions(ReplayOptions):
    """``er_ace``: replay, and new events compared with one another's classes only (asymmetric cross-entropy)."""

    plain_ratio: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of a new event's loss that compares with all classes; 0 is the paper's loss, under which a class
    that comes alone is not learnt by its update, 1 is plain replay."""
