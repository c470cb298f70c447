"""Options of ``ewc``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class EwcOptions(Options):
    """``ewc``: weights that mattered for what was learnt before are held back (online elastic weight consolidation)."""

    strength: Annotated[float, Field(ge=0)] = 100.0
    """λ, per example, whatever the batch size: 1 weighs each earlier update like as many examples as this one has."""
    decay_ratio: Annotated[float, Field(ge=0, le=1)] = 0.95
    """γ: how much of the importance found so far is kept at each further update."""
    fisher_ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """New events that importance is measured on, as a share of the examples that the update trains: its cost."""
    max_fisher_examples: Annotated[int, Field(ge=1)] = 512
    """The same, at most."""
