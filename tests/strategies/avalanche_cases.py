"""The plugins that run here, each with arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategies.avalanche import Avalanche
from strategies.avalanche_options import AvalancheOptions

ARGS: Mapping[str, Mapping[str, Any]] = {
    "AGEMPlugin": {"patterns_per_experience": 8, "sample_size": 8},
    "EWCPlugin": {"ewc_lambda": 1e4},
    "GEMPlugin": {"patterns_per_experience": 8, "memory_strength": 0.5},
    "LwFPlugin": {"alpha": 20},
    "MASPlugin": {"lambda_reg": 1e3},
    "ReplayPlugin": {"mem_size": 20},
    "SynapticIntelligencePlugin": {"si_lambda": 1e6},
}


def avalanche(plugin: str, **options: Any) -> Avalanche:
    """With the arguments above, or ``args``."""
    return Avalanche(AvalancheOptions.model_validate({"plugin": plugin, "args": ARGS[plugin], **options}))
