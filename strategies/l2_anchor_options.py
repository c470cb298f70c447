"""Options of ``l2_anchor``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class L2AnchorOptions(Options):
    """``l2_anchor``: every weight is pulled back to where the update found it (L2-SP)."""

    strength: Annotated[float, Field(ge=0)] = 0.01
    """α, per example: the pull of each weight towards the parent's."""
    new_strength: Annotated[float, Field(ge=0)] = 0.0
    """β: the pull of a new class's weights in the head towards 0."""
