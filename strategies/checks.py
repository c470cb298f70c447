"""``check_strategy``: does a strategy keep the protocol? For the tests of whoever writes one.

::

    def test_mine():
        check_strategy(lambda: Mine(MyOptions(strength=2.0)))

It trains a model of a few numbers for two short updates, the second with the state that the first
left. Raises :class:`CheckFailed`, whose text names the hook, what it did, and the mend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor

from strategies.base import Example, PlanStats, PoolRequest, Strategy, TrainContext
from strategies.specimen import BATCH, CLASSES, EPOCHS, OLD_CLASSES, SpecimenContext, SpecimenModel, examples

T = TypeVar("T")
State = dict[str, Tensor]

HOOKS = (
    "plan",
    "begin",
    "extend",
    "loss",
    "on_gradients",
    "consolidate",
    "state_dict",
    "load_state_dict",
)


class CheckFailed(AssertionError):
    """The strategy breaks the protocol of ``strategies.base``."""


def check_strategy(*factories: Callable[[], Strategy]) -> None:
    """Run every check on what each factory makes, several of them as one list; each is called several times.

    1. Every hook is there and can be called. 2. ``plan`` asks for 0 < n <= stored events. 3. ``extend``
    keeps the batch in front and adds examples of the pool only, marked ``replayed``. 4. ``loss`` is None
    or a finite scalar. 5. Nobody but the trainer calls ``backward`` or ``step``. 6. Pool and new
    examples stay as they were. 7. Gradients stay finite. 8. The state survives a round trip, and the
    next update with more classes. 9. The same seed gives the same numbers. 10. An empty pool is no error.
    11. What is trainable, and the gradients of the last step, are left as they were found.
    """
    for strategy in _made(factories):
        for hook in HOOKS:
            _require(callable(getattr(strategy, hook, None)), hook, "is missing", "derive from BaseStrategy")
        _check_plan(strategy)
    model = SpecimenModel(OLD_CLASSES)
    states = _update(_made(factories), SpecimenContext(model, pool=()))
    for factory, state in zip(factories, states, strict=True):
        again = factory()
        again.load_state_dict(_copy(state))
        _same(state, again.state_dict(), "load_state_dict", "state_dict() differs after a round trip")
    runs = []
    for _ in range(2):
        strategies = _made(factories)
        for strategy, state in zip(strategies, states, strict=True):
            strategy.load_state_dict(_copy(state))
        grown = model.grown(CLASSES)
        _update(strategies, SpecimenContext(grown, examples("old", 12, range(OLD_CLASSES)), model))
        runs.append(dict(grown.state_dict()))
    _same(runs[0], runs[1], "extend/loss", "the same seed gave other numbers; draw from context.rng only")


def _made(factories: Sequence[Callable[[], Strategy]]) -> list[Strategy]:
    return [factory() for factory in factories]


def _check_plan(strategy: Strategy) -> None:
    for stored in (0, 1, 1000):
        stats = PlanStats(10, stored, {"a": stored} if stored else {}, EPOCHS, BATCH, seed=1)
        for request in strategy.plan(stats):
            _require(isinstance(request, PoolRequest), "plan", f"gave {request!r}", "give PoolRequests")
            fits = 0 < request.n <= stored
            _require(fits, "plan", f"asked for {request.n} of {stored} stored events", "ask for 1 to stored_events")


def _update(strategies: Sequence[Strategy], context: SpecimenContext) -> list[State]:
    """One update as the trainer does it; what each strategy leaves."""
    before = (tuple(context.pool), tuple(context.new))
    named = dict(context.model.trainable())
    optimiser = torch.optim.SGD(list(named.values()), lr=0.1)
    for strategy in strategies:
        _forbidden(strategy.begin, "begin", context)
    for step in range(context.total_steps):
        context.step, context.epoch = step, step * EPOCHS // context.total_steps
        _step(strategies, context, optimiser)
    gradients = {name: weights.grad.clone() for name, weights in named.items() if weights.grad is not None}
    for strategy in strategies:
        _forbidden(strategy.consolidate, "consolidate", context)
    left = {name: weights.grad for name, weights in named.items() if weights.grad is not None}
    _same(gradients, left, "consolidate", "changed .grad")
    same = [name for name, _ in context.model.trainable()] == list(named)
    _require(same, "consolidate", "left other weights trainable", "restore requires_grad")
    unchanged = before == (tuple(context.pool), tuple(context.new))
    _require(unchanged, "extend", "changed context.pool or context.new", "make new lists")
    return [_state(strategy) for strategy in strategies]


def _step(strategies: Sequence[Strategy], context: SpecimenContext, optimiser: torch.optim.Optimizer) -> None:
    extended: Sequence[Example] = [context.new[(context.step * BATCH + i) % len(context.new)] for i in range(BATCH)]
    for strategy in strategies:
        batch = extended
        extended = _forbidden(strategy.extend, "extend", context, batch)
        _check_extended(context, batch, extended)
    collated = context.collate(extended)
    outputs = context.model.forward(extended)
    total = context.task_loss(outputs, collated).mean()
    for strategy in strategies:
        term = _forbidden(strategy.loss, "loss", context, collated, outputs)
        if term is not None:
            scalar = isinstance(term, Tensor) and term.dim() == 0 and bool(torch.isfinite(term))
            _require(scalar, "loss", f"gave {term!r}", "give None or a finite scalar tensor")
            total = total + term
    optimiser.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    for strategy in strategies:
        _forbidden(strategy.on_gradients, "on_gradients", context)
        for name, weights in context.model.trainable():
            finite = weights.grad is None or bool(torch.isfinite(weights.grad).all())
            _require(finite, "on_gradients", f"left {name}.grad not finite", "guard divisions")
    optimiser.step()


def _check_extended(context: TrainContext, batch: Sequence[Example], extended: Sequence[Example]) -> None:
    in_front = list(extended[: len(batch)]) == list(batch)
    _require(in_front, "extend", "does not give the batch first", "put examples of the pool behind the batch")
    pool = {example.event_id for example in context.pool}
    added = extended[len(batch) :]
    known = all(example.event_id in pool for example in added)
    _require(known, "extend", "added an example that is not in the pool", "draw from context.pool")
    _require(all(example.replayed for example in added), "extend", "added an unmarked example", "set replayed=True")


def _forbidden(hook: Callable[..., T], name: str, *args: object) -> T:
    def refuse(*_: object, **__: object) -> None:
        raise CheckFailed(f"{name}: called backward() or step(); return a term, the trainer owns the step")

    with patch.object(Tensor, "backward", refuse), patch.object(torch.optim.Optimizer, "step", refuse):
        return hook(*args)


def _same(left: Mapping[str, Tensor], right: Mapping[str, Tensor], hook: str, found: str) -> None:
    same = left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    _require(same, hook, found, "the state is all that one update hands to the next")


def _require(holds: bool, hook: str, found: str, mend: str) -> None:
    if not holds:
        raise CheckFailed(f"{hook}: {found}; {mend}")


def _state(strategy: Strategy) -> State:
    state = strategy.state_dict()
    tensors = all(isinstance(value, Tensor) for value in state.values())
    _require(tensors, "state_dict", "holds no tensors", "use tensors")
    return _copy(state)


def _copy(state: Mapping[str, Tensor]) -> State:
    return {name: tensor.clone() for name, tensor in state.items()}
