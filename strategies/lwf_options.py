"""Options of ``lwf``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class LwfOptions(Options):
    """``lwf``: on old classes, answers stay near the parent's (learning without forgetting)."""

    strength: Annotated[float, Field(ge=0)] = 1.0
    """λ: what the term weighs beside an example's own loss."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 2.0
    """T: above 1 the parent's small probabilities count for more."""
