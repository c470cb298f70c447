"""Options of ``si``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class SiOptions(Options):
    """``si``: weights that took the loss down are held back (synaptic intelligence)."""

    strength: Annotated[float, Field(ge=0)] = 1.0
    """λ, per example: twice the paper's c."""
    decay_ratio: Annotated[float, Field(ge=0, le=1)] = 0.95
    """γ: how much of the importance found so far is kept at each further update; 1 is the paper's plain sum."""
    damping: Annotated[float, Field(gt=0)] = 0.001
    """ξ: keeps weights that hardly moved from seeming important without bound."""
