"""Arguments of the Avalanche plugins that run here: names and defaults are theirs, the bounds ours. Torch-free.

An argument that no YAML can hold (a storage policy), that prints, or that the trainer decides is not here.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from strategies.options import Options

Count = Annotated[int, Field(ge=1)]
Factor = Annotated[float, Field(ge=0)]


class ReplayArgs(Options):
    mem_size: Count = 200
    batch_size_mem: Count | None = None


class EwcArgs(Options):
    ewc_lambda: Factor
    mode: Literal["separate", "online"] = "separate"
    decay_factor: Annotated[float, Field(ge=0, le=1)] | None = None
    keep_importance_data: bool = False

    @model_validator(mode="after")
    def _decays_online_only(self) -> Self:
        if (self.mode == "online") != (self.decay_factor is not None):
            raise ValueError("mode online needs a decay_factor, mode separate takes none")
        return self


class LwfArgs(Options):
    alpha: Factor = 1
    temperature: Annotated[float, Field(gt=0)] = 2


class SynapticIntelligenceArgs(Options):
    si_lambda: Factor | Annotated[list[Factor], Field(min_length=1)]
    eps: Annotated[float, Field(gt=0)] = 1e-7
    excluded_parameters: list[str] | None = None


class MasArgs(Options):
    lambda_reg: Factor = 1.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5


class AgemArgs(Options):
    patterns_per_experience: Count
    sample_size: Count


class GemArgs(Options):
    patterns_per_experience: Count
    memory_strength: Factor
