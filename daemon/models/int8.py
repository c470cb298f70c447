"""Linear layers in 8-bit integers, for answering on a CPU.

Weights have one scale per output, activations one per token (row), chosen as the row comes (dynamic, symmetric;
Dettmers et al. 2022, "LLM.int8()", without its outliers). Since no row's scale depends on another row, a text is
answered alike alone and in any batch, which per-tensor dynamic quantisation does not give. Products of integers
are exact, so the order of summation changes nothing either.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from daemon.errors import ConfigError
from daemon.models.tuned import TunedModel
from daemon.models.tuning import layer_stack

_LEAST = 1e-12


class Int8Linear(nn.Module):
    """[..., K] -> [..., N]. ``weight`` [N, K] and ``bias`` [N] or None in float; no gradients."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        scale = weight.abs().amax(1).clamp_min(_LEAST) / 127
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).t())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", torch.zeros_like(scale) if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).clamp_min(_LEAST) / 127
        made = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight).to(torch.float32)
        return torch.addcmul(self.bias, made.mul_(scale), self.scale).reshape(*x.shape[:-1], -1)


@torch.no_grad()
def int8_copy(model: TunedModel) -> TunedModel:
    """The same model with an int8 encoder: embeddings, norms and head are shared, linear layers of the stack
    replaced, adapters folded in. It answers; it does not train and is not saved.

    Raises ConfigError for a model that is not on the CPU.
    """
    encoder = model.encoder
    if encoder.device.type != "cpu":
        raise ConfigError(f"predict.precision: int8 answers on a CPU, not on {encoder.device}; use fp32 there")
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*encoder.parameters(), *encoder.buffers())}
    made = copy.deepcopy(encoder, {**shared, id(encoder._peft): []})
    stack = layer_stack(made)
    done: list[str] = []
    for name, module in list(stack.named_modules()):
        weight = None if name.startswith(tuple(done)) else _weight(module)
        if weight is not None:
            done.append(f"{name}.")
            parent, _, own = name.rpartition(".")
            base = getattr(module, "base_layer", module)
            setattr(stack.get_submodule(parent), own, Int8Linear(weight, base.bias))
    return TunedModel(made, model.head, model.labels, model.task, model.young).eval()


def _weight(module: Any) -> Tensor | None:
    """[N, K] of a linear layer, with its adapters' deltas; None for anything else."""
    if isinstance(module, nn.Linear):
        return module.weight
    if isinstance(getattr(module, "base_layer", None), nn.Linear):
        weight: Tensor = module.base_layer.weight.clone()
        for adapter in module.active_adapters:
            weight += module.get_delta_weight(adapter)
        return weight
    return None
