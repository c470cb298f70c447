"""Options of ``mas``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class MasOptions(Options):
    """``mas``: weights that the outputs feel are held back (memory aware synapses)."""

    strength: Annotated[float, Field(ge=0)] = 1.0
    """λ, per example: twice the paper's."""
    decay_ratio: Annotated[float, Field(ge=0, le=1)] = 0.95
    """γ: how much of the importance found so far is kept at each further update; 1 is the paper's plain sum."""
    sample_ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """New events that importance is measured on, as a share of the examples that the update trains: its cost."""
    max_examples: Annotated[int, Field(ge=1)] = 512
    """The same, at most."""
