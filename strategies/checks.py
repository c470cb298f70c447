"""``check_strategy``: does a strategy keep the protocol? For the tests of whoever writes one.

::

    def test_mine():
        check_strategy(lambda: Mine(MyOptions(strength=2.0)))

It trains a model of a few numbers for two short updates, the second with the state that the first
left. Raises :class:`CheckFailed`, whose text names the hook, what it did, and the mend.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn

from strategies.base import Batch, Example, Model, Outputs, PlanStats, PoolRequest, Strategy, TrainContext

T = TypeVar("T")

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
_WIDTH, _OLD, _CLASSES, _BATCH, _EPOCHS = 6, 3, 5, 4, 2
_CPU = torch.device("cpu")


class CheckFailed(AssertionError):
    """The strategy breaks the protocol of ``strategies.base``."""


def check_strategy(factory: Callable[[], Strategy]) -> None:
    """Run every check on what ``factory`` makes; it is called several times.

    1. Every hook is there and can be called. 2. ``plan`` asks for 0 < n <= stored events. 3. ``extend``
    keeps the batch in front and adds examples of the pool only, marked ``replayed``. 4. ``loss`` is None
    or a finite scalar. 5. Nobody but the trainer calls ``backward`` or ``step``. 6. Pool and new
    examples stay as they were. 7. Gradients stay finite. 8. The state survives a round trip, and the
    next update with more classes. 9. The same seed gives the same numbers. 10. An empty pool is no error.
    """
    strategy = factory()
    for hook in HOOKS:
        _require(callable(getattr(strategy, hook, None)), hook, "is missing", "derive from BaseStrategy")
    _check_plan(strategy)
    model = _Model(_OLD)
    first = _update(factory(), _Context(model, pool=()))
    state = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    _require(
        all(isinstance(value, Tensor) for value in state.values()), "state_dict", "holds no tensors", "use tensors"
    )
    again = factory()
    again.load_state_dict(state)
    _same(state, again.state_dict(), "load_state_dict", "state_dict() differs after a round trip")
    runs = []
    for _ in range(2):
        fresh = factory()
        fresh.load_state_dict({name: tensor.clone() for name, tensor in state.items()})
        grown = model.grown(_CLASSES)
        _update(fresh, _Context(grown, pool=_examples("old", 12, range(_OLD)), parent=model))
        runs.append(dict(grown.state_dict()))
    _same(runs[0], runs[1], "extend/loss", "the same seed gave other numbers; draw from context.rng only")


def _check_plan(strategy: Strategy) -> None:
    for stored in (0, 1, 1000):
        stats = PlanStats(10, stored, {"a": stored} if stored else {}, _EPOCHS, _BATCH, seed=1)
        for request in strategy.plan(stats):
            _require(isinstance(request, PoolRequest), "plan", f"gave {request!r}", "give PoolRequests")
            fits = 0 < request.n <= stored
            _require(fits, "plan", f"asked for {request.n} of {stored} stored events", "ask for 1 to stored_events")


def _update(strategy: Strategy, context: _Context) -> Strategy:
    before = (tuple(context.pool), tuple(context.new))
    optimiser = torch.optim.SGD([weights for _, weights in context.model.trainable()], lr=0.1)
    _forbidden(strategy.begin, "begin", context)
    for step in range(context.total_steps):
        context.step, context.epoch = step, step * _EPOCHS // context.total_steps
        batch = [context.new[(step * _BATCH + i) % len(context.new)] for i in range(_BATCH)]
        extended = _forbidden(strategy.extend, "extend", context, batch)
        _check_extended(context, batch, extended)
        collated = context.collate(extended)
        outputs = context.model.forward(extended)
        total = context.task_loss(outputs, collated).mean()
        term = _forbidden(strategy.loss, "loss", context, collated, outputs)
        if term is not None:
            scalar = isinstance(term, Tensor) and term.dim() == 0 and bool(torch.isfinite(term))
            _require(scalar, "loss", f"gave {term!r}", "give None or a finite scalar tensor")
            total = total + term
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        _forbidden(strategy.on_gradients, "on_gradients", context)
        for name, weights in context.model.trainable():
            finite = weights.grad is None or bool(torch.isfinite(weights.grad).all())
            _require(finite, "on_gradients", f"left {name}.grad not finite", "guard divisions")
        optimiser.step()
    _forbidden(strategy.consolidate, "consolidate", context)
    unchanged = before == (tuple(context.pool), tuple(context.new))
    _require(unchanged, "extend", "changed context.pool or context.new", "make new lists")
    return strategy


def _check_extended(context: _Context, batch: Sequence[Example], extended: Sequence[Example]) -> None:
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


def _examples(prefix: str, count: int, classes: range) -> tuple[Example, ...]:
    targets = [classes[i % len(classes)] for i in range(count)]
    return tuple(
        Example(f"{prefix}-{i}", tuple(1 + (target + j) % 9 for j in range(2 + i % 3)), target, f"class-{target}")
        for i, target in enumerate(targets)
    )


class _Model(nn.Module):
    """Mean of embeddings, one linear layer: enough to have gradients."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        maker = torch.Generator().manual_seed(1)
        self.encoder = nn.Parameter(torch.randn(16, _WIDTH, generator=maker))
        self.head = nn.Parameter(0.1 * torch.randn(classes, _WIDTH, generator=maker))

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self.named_parameters()

    def forward(self, examples: Sequence[Example]) -> Outputs:
        pooled = torch.stack([self.encoder[list(example.token_ids)].mean(0) for example in examples])
        return Outputs(pooled, pooled @ self.head.T, [len(example.token_ids) for example in examples])

    def grown(self, classes: int) -> _Model:
        made = _Model(classes)
        with torch.no_grad():
            made.encoder.copy_(self.encoder)
            made.head[: len(self.head)] = self.head
        return made


class _Context(TrainContext):
    def __init__(self, model: _Model, pool: Sequence[Example], parent: _Model | None = None) -> None:
        classes = len(model.head)
        old = len(parent.head) if parent else 0
        new = _examples("new", 8, range(old, classes))
        labels = [f"class-{i}" for i in range(classes)]
        steps = _EPOCHS * len(new) // _BATCH
        super().__init__(model, pool, new, labels, old, _CPU, random.Random(7), _BATCH, steps)
        self._parent = parent or model

    def task_loss(self, outputs: Outputs, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(outputs.logits, batch.targets, reduction="none")

    def parent(self) -> Model:
        return self._parent

    def collate(self, examples: Sequence[Example]) -> Batch:
        targets = torch.tensor([example.target for example in examples])
        return Batch(examples, targets, torch.tensor([example.weight for example in examples]))
