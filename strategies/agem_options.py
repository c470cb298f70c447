"""Options of ``agem``. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from strategies.options import Options


class AgemOptions(Options):
    """``agem``: a step's gradient is turned where it would raise the loss on stored events."""

    ratio: Annotated[float, Field(gt=0, le=16)] = 1.0
    """Stored events for each new one whose gradient is taken: the cost of as many replayed ones."""
    interval: Annotated[int, Field(ge=1)] = 1
    """Their gradient is taken at every so many-th step and kept in between: cheaper, and a little out of date."""
    pool_factor: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Size of the pool: so many times the stored events of one epoch, at most."""
