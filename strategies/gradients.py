"""A measure of each example's own gradient, averaged over examples: what importance of weights is made of.

Measured example by example and not on a batch's mean gradient, so the result does not depend on how examples
are batched. Every trainable parameter is exact: the layers of ``strategies.measures`` from one batched
pass with hooks, any other parameter (and all of them where a layer's rows cannot be told apart) from a
pass per example, which is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from strategies.base import Batch, Example, Model, Outputs, TrainContext
from strategies.measures import LAYERS, Measure, Seen

Objective = Callable[[Outputs, Batch], Tensor]
"""What is differentiated: a sum over the batch's examples in which each stands for itself alone."""


def mean_gradients(
    context: TrainContext, examples: Sequence[Example], objective: Objective, measure: Measure
) -> dict[str, Tensor]:
    """By name of ``context.model.trainable()``, each of its parameter's shape; zeros without examples.

    Leaves ``.grad`` alone. Examples weigh alike, whatever their ``weight``.
    """
    named = dict(context.model.trainable())
    totals = {name: torch.zeros_like(weights) for name, weights in named.items()}
    layers = _layers(context.model, named)
    for start in range(0, len(examples), context.batch_size):
        batch = examples[start : start + context.batch_size]
        layers = _batched(context, batch, objective, measure, layers, totals) if layers else layers
        by_hooks = {name for layer in layers for name in layer.names.values()}
        rest = {name: weights for name, weights in named.items() if name not in by_hooks}
        for example in batch if rest else ():
            gradients = torch.autograd.grad(
                _value(context, [example], objective), list(rest.values()), allow_unused=True, materialize_grads=True
            )
            for name, gradient in zip(rest, gradients, strict=True):
                measure.add(totals[name], gradient.contiguous())
    for total in totals.values():
        total.div_(max(1, len(examples)))
    return totals


@dataclass(frozen=True, slots=True)
class _Layer:
    """``names``: of its trainable parameters, own name -> the model's."""

    module: nn.Module
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Call:
    """Of one layer in one forward pass. ``inputs``: [T, I], token ids [T]; ``rows`` None: nobody knows whose
    they are; ``version`` of the output, which says whether it was changed in place afterwards."""

    inputs: Tensor
    output: Tensor
    rows: Tensor | None
    version: int


def _layers(model: Model, named: Mapping[str, nn.Parameter]) -> list[_Layer]:
    """Those of a known kind whose trainable parameters are theirs alone."""
    by_id = {id(weights): name for name, weights in named.items()}
    owned: dict[nn.Module, dict[str, str]] = {}
    owners: dict[str, int] = {}
    for _, module in model.named_modules():
        for own, weights in module.named_parameters(recurse=False):
            if (name := by_id.get(id(weights))) is not None:
                owned.setdefault(module, {})[own] = name
                owners[name] = owners.get(name, 0) + 1
    return [
        _Layer(module, names)
        for module, names in owned.items()
        if type(module) in LAYERS and all(owners[name] == 1 for name in names.values())
    ]


def _batched(
    context: TrainContext,
    batch: Sequence[Example],
    objective: Objective,
    measure: Measure,
    layers: Sequence[_Layer],
    totals: Mapping[str, Tensor],
) -> list[_Layer]:
    """Add what ``batch`` measures; returns the layers for which that could be done."""
    with _watched(context.model, layers) as calls:
        value = _value(context, batch, objective)
    found = [call for layer in layers for call in calls[layer.module]]
    if not value.requires_grad:
        return []
    gradients = iter(
        torch.autograd.grad(value, [call.output for call in found], allow_unused=True, materialize_grads=True)
    )
    done = []
    for layer in layers:
        seen = _seen([(call, next(gradients)) for call in calls[layer.module]])
        if seen is not None:
            mine = {own: totals[name] for own, name in layer.names.items()}
            LAYERS[type(layer.module)](layer.module, seen, mine, measure)
            done.append(layer)
    return done


def _value(context: TrainContext, batch: Sequence[Example], objective: Objective) -> Tensor:
    with torch.enable_grad():
        return objective(context.model.forward(batch), context.collate(batch))


@contextmanager
def _watched(model: Model, layers: Sequence[_Layer]) -> Iterator[dict[nn.Module, list[_Call]]]:
    """What each layer sees. Meanwhile no parameter asks for a gradient, so that none of a whole batch is
    computed; the layers' outputs do."""
    calls: dict[nn.Module, list[_Call]] = {layer.module: [] for layer in layers}

    def watch(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        asked = output if output.requires_grad else output.requires_grad_()
        inputs = given[0].detach()
        shape = inputs.shape if isinstance(module, nn.Embedding) else inputs.shape[:-1]
        flat = inputs.reshape(shape.numel(), *inputs.shape[len(shape) :])
        calls[module].append(_Call(flat, asked, model.rows(shape), asked._version))
        return asked

    trainable = [weights for _, weights in model.trainable()]
    handles = [layer.module.register_forward_hook(watch) for layer in layers]
    try:
        for weights in trainable:
            weights.requires_grad_(False)
        yield calls
    finally:
        for weights in trainable:
            weights.requires_grad_(True)
        for handle in handles:
            handle.remove()


def _seen(calls: Sequence[tuple[_Call, Tensor]]) -> Seen | None:
    """All calls of one layer together, sorted by example; None where it was not called or rows are unknown."""
    flat = [
        (call.inputs, gradient.reshape(-1, gradient.shape[-1]), call.rows)
        for call, gradient in calls
        if call.rows is not None and call.output._version == call.version
    ]
    if not flat or len(flat) < len(calls):
        return None
    inputs, gradients, rows = (torch.cat(parts) for parts in zip(*flat, strict=True))
    order = rows.argsort(stable=True)
    return Seen(inputs[order], gradients[order], rows[order])
