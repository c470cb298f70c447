"""How a strategy's options are declared: torch-free, so that a bad one is refused before anything is loaded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Options(BaseModel):
    """Derive from this. Unknown keys are refused; the docstring under a field feeds the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
