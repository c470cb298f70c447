"""Options of ``der++``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.replay_options import ReplayOptions


class DerOptions(ReplayOptions):
    """``der++``: replay with labels and with the parent's logits (dark experience replay)."""

    strength: Annotated[float, Field(ge=0)] = 0.5
    """α: what the mean squared distance to the parent's logits weighs in a replayed event's loss."""
    label_strength: Annotated[float, Field(ge=0)] = 1.0
    """β: what a replayed event's label weighs; 0: logits alone (DER)."""
