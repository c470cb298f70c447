"""Mixed precision (Micikevicius et al. 2018): the matrix products of a step in bfloat16.

Weights, gradients, the optimiser and the loss stay in fp32, as does whatever is not trained: what is remembered below
the layers that move, the fast head's features, all scores. bfloat16 has the range of fp32, so that no loss need be
scaled. It is faster where the device multiplies in bfloat16 (CUDA from Ampere on, CPUs with AMX), slower elsewhere.
On a CPU packed attention stays fp32, whose way back is slow in bfloat16; where texts cannot be packed little is gained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from daemon.config.task import Precision
from strategies.base import Example, Model, Outputs

Forward = Callable[[Sequence[Example]], Outputs]


def forward_in(precision: Precision, model: Model, device: torch.device) -> Forward:
    """``model.forward`` with products in ``precision``; its outputs are fp32."""
    if precision == "fp32":
        return model.forward

    def forward(examples: Sequence[Example]) -> Outputs:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            found = model.forward(examples)
        hidden = None if found.hidden is None else found.hidden.float()
        return replace(found, pooled=found.pooled.float(), logits=found.logits.float(), hidden=hidden)

    return forward
