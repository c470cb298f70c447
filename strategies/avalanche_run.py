"""One update with one plugin: its hooks, in Avalanche's order, at the places where the trainer calls ours."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from strategies import avalanche_state
from strategies.avalanche_facade import Criterion, Experience, Facade, FacadeModel, Optimizer
from strategies.avalanche_options import AvalancheOptions
from strategies.avalanche_plugins import PLUGINS
from strategies.avalanche_scope import Scope, aside
from strategies.base import Batch, Example, Outputs, TrainContext

Row = tuple[int, int]
"""(place in the table, class)."""

_AFTER_STEP = ("after_update", "after_training_iteration")


@dataclass(frozen=True, slots=True)
class Library:
    """What of Avalanche is used. ``dataset``: (x [N, 1], y [N]); ``wrap``: (name, tensor, device) -> ParamData."""

    plugins: Mapping[str, type[Any]]
    clock: Callable[[], Any]
    dataset: Callable[[Tensor, Tensor], Any]
    wrap: Callable[[str, Tensor, torch.device], Any]


class Run:
    """From ``begin`` to ``consolidate``.

    ``past``: rows of earlier updates; their places are in ``context.pool``. ``kept``: what the last update's plugin
    left; ``updates``: how many there were.
    """

    def __init__(
        self,
        library: Library,
        options: AvalancheOptions,
        context: TrainContext,
        past: Sequence[Sequence[Row]],
        kept: Mapping[str, Tensor],
        updates: int,
    ) -> None:
        """Raises ValueError for a task without classes, and where the plugin refuses its arguments."""
        self._library, self._context = library, context
        self._row = PLUGINS[options.plugin]
        self._table = [*context.pool, *context.new]
        self._places = {example.event_id: place for place, example in enumerate(self._table)}
        self._scope = Scope(context.rng.getrandbits(64))
        self._batches: Iterator[Any] = iter(())
        self._gradients: list[Tensor] = []
        self._epoch, self._live = -1, False
        if any(not isinstance(example.target, int) for example in context.new) or not context.labels:
            raise ValueError(f"avalanche: {options.plugin} needs a task in which each event has one class")
        with self._scope(), aside(context.model):
            self._plugin = library.plugins[options.plugin](**options.args)
            model = FacadeModel(context.model, self._table)
            self._facade = Facade(
                options.plugin,
                model,
                Optimizer(context.model),
                Criterion(context),
                context.device,
                context.batch_size,
                library.clock(),
                torch.zeros((), device=context.device),
            )
            if self._row.keeps:
                self._recall(kept)
                self._facade.clock.train_exp_counter = updates
            if past:
                self._retell(past)
            self._facade.model = model.train()
            self._start([(self._places[example.event_id], example) for example in context.new])
        self._steps = _watch_steps(self, context)

    def extend(self, context: TrainContext, batch: Sequence[Example]) -> Sequence[Example]:
        """Behind the batch: what the plugin's dataloader, if it has set one, brings of the pool."""
        with self._scope(), aside(context.model):
            if context.epoch != self._epoch:
                self._end_epoch()
                self._epoch = context.epoch
                self._fire("before_training_epoch")
                self._batches = iter(self._facade.dataloader or ())
            if self._facade.dataloader is None:
                return batch
            drawn = next(self._batches, None)
            if drawn is None:
                self._batches = iter(self._facade.dataloader)
                drawn = next(self._batches)
        places = [place for place in drawn[0].flatten().tolist() if place < len(context.pool)]
        return [*batch, *(replace(context.pool[place], replayed=True) for place in places)]

    def loss(self, context: TrainContext, batch: Batch, outputs: Outputs) -> Tensor | None:
        """What the plugin makes of the task's loss, less the task's loss."""
        self._live = bool(batch.weights.any())
        if not self._live:
            return None
        start = (context.task_loss(outputs, batch) * batch.weights).sum() / batch.weights.sum()
        places = [[self._places[example.event_id]] for example in batch.examples]
        facade, loss = self._facade, start.clone()
        version = loss._version
        facade.mbatch = [torch.tensor(places, device=context.device), batch.targets, torch.zeros_like(batch.targets)]
        facade.mb_output, facade.loss = outputs.logits, loss
        with self._scope(), aside(context.model):
            self._fire("before_training_iteration")
            avalanche_state.unshare(self._plugin, self._row)
            for event in ("before_forward", "after_forward", "before_backward"):
                self._fire(event)
        return None if facade.loss is loss and loss._version == version else facade.loss - start

    def on_gradients(self) -> None:
        if not self._live:
            return
        with self._scope():
            self._fire("after_backward")
            self._fire("before_update")
        if any(_overrides(self._plugin, event) for event in _AFTER_STEP):
            weights = [weights for _, weights in self._context.model.trainable()]
            self._gradients = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]

    def stepped(self) -> None:
        """After the trainer's step; the plugin sees the gradients as they were before clipping."""
        if not self._live:
            return
        self._live = False
        with self._scope(), aside(self._context.model):
            for (_, weights), gradient in zip(self._context.model.trainable(), self._gradients, strict=False):
                weights.grad = gradient
            for event in _AFTER_STEP:
                self._fire(event)

    def consolidate(self) -> Mapping[str, Tensor]:
        """What the plugin keeps."""
        self._steps()
        with self._scope(), aside(self._context.model):
            self._end_epoch()
            if not self._row.keeps:
                return {}  # the past is told anew
            self._fire("after_training_exp")
            return avalanche_state.encode(self._plugin, self._row)

    def _recall(self, kept: Mapping[str, Tensor]) -> None:
        device = torch.device("cpu") if self._row.on_cpu else self._context.device
        wrap, weights = self._library.wrap, dict(self._context.model.trainable())
        avalanche_state.decode(self._plugin, self._row, kept, weights, lambda name, tensor: wrap(name, tensor, device))

    def _retell(self, past: Sequence[Sequence[Row]]) -> None:
        """Each earlier update as if it ended now: memories fill, teachers are taken from the parent."""
        if self._row.past == "parent":
            self._facade.model = FacadeModel(self._context.parent(), self._table, fixed=True)
        for rows in past:
            self._facade.experience = self._experience(rows)
            self._fire("after_training_exp")

    def _start(self, new: Sequence[tuple[int, Example]]) -> None:
        rows = [(place, example.target) for place, example in new if example.weight > 0]
        self._facade.experience = self._experience(rows or [(place, example.target) for place, example in new])
        self._fire("before_training")
        self._fire("before_train_dataset_adaptation")
        self._facade.adapted_dataset = self._facade.experience.dataset
        self._fire("after_train_dataset_adaptation")
        self._fire("before_training_exp")
        avalanche_state.unshare(self._plugin, self._row)

    def _experience(self, rows: Sequence[Row]) -> Experience:
        places, classes = zip(*rows, strict=True)
        dataset = self._library.dataset(torch.tensor(places).unsqueeze(1), torch.tensor(classes))
        return Experience(dataset, sorted(set(classes)), self._facade.clock.train_exp_counter)

    def _end_epoch(self) -> None:
        if self._epoch >= 0:
            self._fire("after_training_epoch")

    def _fire(self, event: str) -> None:
        """The plugin's hook, then the clock's: as Avalanche has it, the clock is the last."""
        for one in (self._plugin, self._facade.clock):
            hook = getattr(one, event, None)
            if hook is not None:
                hook(self._facade)


def _overrides(plugin: object, event: str) -> bool:
    """Whether the hook is more than the no-op that every plugin inherits from ``avalanche.core``."""
    hook = getattr(type(plugin), event, None)
    return hook is not None and hook.__module__ != "avalanche.core"


def _watch_steps(run: Run, context: TrainContext) -> Callable[[], None]:
    """Calls ``run.stepped`` after each step of an optimiser that moves the model's weights; returns what ends it."""
    held, ours = weakref.ref(run), {id(weights) for _, weights in context.model.trainable()}

    def after(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        alive = held()
        if alive is not None and any(
            id(weights) in ours for group in optimiser.param_groups for weights in group["params"]
        ):
            alive.stepped()

    handle = register_optimizer_step_post_hook(after)
    return weakref.finalize(run, handle.remove)
