"""Plugins of Avalanche's on a model of a few numbers: that they keep the protocol, and compute what they should."""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from strategies import catalog
from strategies.avalanche import Avalanche
from strategies.avalanche_facade import FacadeModel, NotProvided
from strategies.avalanche_plugins import PLUGINS, Plugin
from strategies.avalanche_scope import Scope, aside, quiet
from strategies.avalanche_state import encode
from strategies.base import Example, Strategy
from strategies.checks import check_strategy
from strategies.options import Options
from strategies.specimen import BATCH, SpecimenContext, SpecimenModel, examples
from tests.strategies.avalanche_cases import ARGS, avalanche

OLD = examples("old", 12, range(3))


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_each_keeps_the_protocol_alone_and_beside_replay(plugin: str) -> None:
    check_strategy(lambda: avalanche(plugin))
    check_strategy(lambda: catalog.make("replay", {}), lambda: avalanche(plugin))
    check_strategy(lambda: avalanche(plugin), lambda: catalog.make("replay", {}))


def step(strategy: Strategy, context: SpecimenContext, optimiser: torch.optim.Optimizer) -> Tensor:
    """One step as the trainer does it, before the optimiser's; returns the strategy's term."""
    batch = list(strategy.extend(context, context.new[:BATCH]))
    collated, outputs = context.collate(batch), context.model.forward(batch)
    loss = context.task_loss(outputs, collated).mean()
    term = strategy.loss(context, collated, outputs)
    optimiser.zero_grad()
    (loss if term is None else loss + term).backward()  # type: ignore[no-untyped-call]
    strategy.on_gradients(context)
    return torch.zeros(()) if term is None else term.detach()


def update(strategy: Strategy, context: SpecimenContext, steps: int = 20, rate: float = 0.1) -> None:
    optimiser = torch.optim.SGD([weights for _, weights in context.model.trainable()], lr=rate)
    strategy.begin(context)
    for context.step in range(steps):
        step(strategy, context, optimiser)
        optimiser.step()
    strategy.consolidate(context)


def second(plugin: str, **options: object) -> tuple[Avalanche, SpecimenContext, SpecimenModel]:
    """A strategy that has begun its second update, two classes more; and the parent."""
    parent, first = SpecimenModel(3), avalanche(plugin, **options)
    update(first, SpecimenContext(parent, pool=()))
    strategy = avalanche(plugin, **options)
    strategy.load_state_dict(first.state_dict())
    context = SpecimenContext(parent.grown(5), OLD, parent)
    strategy.begin(context)
    return strategy, context, parent


def sgd(context: SpecimenContext) -> torch.optim.Optimizer:
    return torch.optim.SGD([weights for _, weights in context.model.trainable()], lr=0.1)


def test_lwfs_term_is_its_formula_against_the_parent() -> None:
    # Given a second update, When a loss is asked for, Then it is α KL(parent ‖ model) at heat T, over the old classes
    strategy, context, parent = second("LwFPlugin", args={"alpha": 3, "temperature": 4})
    with torch.no_grad():
        for _, weights in context.model.trainable():
            weights.add_(0.1)
    batch = context.new[:BATCH]
    model = log_softmax(context.model.forward(batch).logits[:, :3] / 4, -1)
    teacher = log_softmax(parent.forward(batch).logits / 4, -1)
    expected = 3 * kl_div(model, teacher, reduction="batchmean", log_target=True)
    torch.testing.assert_close(step(strategy, context, sgd(context)), expected.detach(), rtol=1e-4, atol=1e-5)


def test_ewcs_penalty_stands_on_what_the_version_kept() -> None:
    # Given importances that went through state_dict, two classes more, and weights that moved
    strategy, context, parent = second("EWCPlugin", args={"ewc_lambda": 5.0})
    kept = strategy.state_dict()
    importance = {name: kept[f'EWCPlugin/kept/["importances", 0, "{name}"]'] for name, _ in parent.trainable()}
    with torch.no_grad():
        for _, weights in context.model.trainable():
            weights.add_(0.3)
    # Then the term is λ Σ F (w - w*)², and new rows are free
    named, start = dict(context.model.trainable()), dict(parent.trainable())
    expected = sum(
        (fisher * (named[name][: len(fisher)] - start[name]).square()).sum() for name, fisher in importance.items()
    )
    term = step(strategy, context, sgd(context))
    torch.testing.assert_close(term, 5.0 * torch.as_tensor(expected).detach(), rtol=1e-4, atol=1e-5)
    assert term > 0


def flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.mark.parametrize("plugin", ["AGEMPlugin", "GEMPlugin"])
def test_a_projected_gradient_does_not_raise_the_memorys_loss(plugin: str) -> None:
    # Given a memory of all old events, and a step whose gradient is against theirs
    args = {
        "patterns_per_experience": 12,
        **({"sample_size": 12} if plugin == "AGEMPlugin" else {"memory_strength": 0}),
    }
    strategy, context, _ = second(plugin, args=args)
    named = dict(context.model.trainable())
    memory = context.task_loss(context.model.forward(OLD), context.collate(OLD)).mean()
    reference = flat(torch.autograd.grad(memory, list(named.values())))
    new = context.new[:BATCH]
    mine = context.task_loss(context.model.forward(new), context.collate(new)).mean()
    before = flat(torch.autograd.grad(mine, list(named.values())))
    assert torch.dot(before, reference) < 0
    # When it is changed, Then it is against theirs no more, and changed no more than that needs
    assert step(strategy, context, sgd(context)) == 0
    after = flat([weights.grad for weights in named.values() if weights.grad is not None])
    assert torch.dot(after, reference) > -1e-3 * reference.norm() * after.norm()
    expected = before - reference * torch.dot(before, reference) / reference.square().sum()
    torch.testing.assert_close(after, expected, rtol=1e-2, atol=1e-3)


def test_gem_has_a_constraint_for_each_earlier_update() -> None:
    # Given classes that two updates brought, When the third begins, Then the memory stands in two parts
    strategy, context, parent = second("GEMPlugin")
    del context.pool, parent
    context.pool = ()
    update(strategy, context)
    introduced = strategy.state_dict()["GEMPlugin/introduced"]
    assert introduced.tolist() == [0, 0, 0, 1, 1]
    model = SpecimenModel(6)
    third = SpecimenContext(model, examples("old", 20, range(5)), SpecimenModel(5))
    for most, parts in ((10, [0, 1]), (1, [0])):
        again = avalanche("GEMPlugin", max_experiences=most)
        again.load_state_dict(strategy.state_dict())
        again.begin(third)
        assert list(again._now._plugin.memory_y) == parts


def test_si_adds_up_gradient_times_movement_of_each_step() -> None:
    # Given one update of plain descent in which gradients are -movement / rate
    model, strategy, moved = SpecimenModel(3), avalanche("SynapticIntelligencePlugin"), []
    context = SpecimenContext(model, pool=())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    strategy.begin(context)
    start = model.head.weight.detach().clone()
    for _ in range(3):
        before = model.head.weight.detach().clone()
        step(strategy, context, optimiser)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        optimiser.step()
        moved.append(model.head.weight.detach() - before)
    strategy.consolidate(context)
    # Then what is kept is -Σ movement² / rate over the whole movement squared (the sign is Avalanche's)
    whole = (model.head.weight.detach() - start).square() + 1e-7
    expected = -(torch.stack(moved).square().sum(0) / 0.1 / whole).flatten()
    kept = strategy.state_dict()['SynapticIntelligencePlugin/kept/["syn_data", "cum_trajectory", "head.weight"]']
    torch.testing.assert_close(kept, expected, rtol=1e-3, atol=1e-5)


def test_replay_draws_from_the_pool_and_a_version_keeps_no_example() -> None:
    # Given a second update with a pool of which one event has no weight
    pool = (replace(OLD[0], weight=0.0), *OLD[1:])
    strategy = avalanche("ReplayPlugin", args={"mem_size": 20, "batch_size_mem": 3})
    context = SpecimenContext(SpecimenModel(5), pool, SpecimenModel(3))
    strategy.begin(context)
    drawn: list[Example] = []
    for _ in range(10):
        whole = strategy.extend(context, context.new[:BATCH])
        assert list(whole[:BATCH]) == list(context.new[:BATCH])
        drawn += whole[BATCH:]
    # Then every step has three of the pool behind the batch, never the one without weight
    assert len(drawn) == 30
    assert {example.event_id for example in drawn} == {example.event_id for example in OLD[1:]}
    assert all(example.replayed for example in drawn)
    # and what is kept is how many updates there were and which brought a class
    strategy.consolidate(context)
    assert set(strategy.state_dict()) == {"ReplayPlugin/experiences", "ReplayPlugin/introduced"}


def seed_all() -> None:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)


@pytest.mark.parametrize("plugin", list(PLUGINS))
def test_gradients_dice_modes_and_output_of_the_trainer_stay_its_own(
    plugin: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # Given a second update in the midst of which gradients of the trainer's lie there
    strategy, context, _ = second(plugin)
    held = {name: torch.full_like(weights, 7.0) for name, weights in context.model.trainable()}
    for name, weights in context.model.trainable():
        weights.grad = held[name]
    modes = [module.training for _, module in context.model.named_modules()]
    seed_all()
    dice = (torch.rand(()), random.random(), np.random.random())
    seed_all()
    # When the plugin makes its own passes
    batch = list(strategy.extend(context, context.new[:BATCH]))
    strategy.loss(context, context.collate(batch), context.model.forward(batch))
    strategy.consolidate(context)
    # Then gradients, generators and modes are as they were, and nothing was said
    assert all(weights.grad is held[name] for name, weights in context.model.trainable())
    assert all(bool((gradient == 7.0).all()) for gradient in held.values())
    assert [module.training for _, module in context.model.named_modules()] == modes
    assert (torch.rand(()), random.random(), np.random.random()) == dice
    assert capfd.readouterr() == ("", "")


def test_a_step_without_weight_calls_no_hook() -> None:
    strategy, context, _ = second("MASPlugin")
    batch = [replace(example, weight=0.0) for example in context.new[:BATCH]]
    assert strategy.loss(context, context.collate(batch), context.model.forward(batch)) is None
    strategy.on_gradients(context)


def test_the_state_of_another_plugin_is_left_alone() -> None:
    # Given a version that EWC left, When MAS begins, Then it begins as at a first update
    first = avalanche("EWCPlugin")
    update(first, SpecimenContext(SpecimenModel(3), pool=()))
    strategy = avalanche("MASPlugin")
    strategy.load_state_dict(first.state_dict())
    context = SpecimenContext(SpecimenModel(5), (), SpecimenModel(3))
    strategy.begin(context)
    assert step(strategy, context, sgd(context)) == 0


def test_steps_are_watched_only_while_an_update_runs() -> None:
    # Given an update that has ended, and one that was abandoned, Then no hook of theirs is left at torch
    from torch.optim.optimizer import _global_optimizer_post_hooks as hooks

    before = len(hooks)
    strategy, context, _ = second("SynapticIntelligencePlugin")
    assert len(hooks) == before + 1
    strategy.consolidate(context)
    assert len(hooks) == before
    abandoned = second("SynapticIntelligencePlugin")
    assert len(hooks) == before + 1
    del abandoned
    assert len(hooks) == before


def test_a_task_without_classes_is_refused_by_name() -> None:
    context = SpecimenContext(SpecimenModel(3), pool=())
    context.new = [replace(example, target=0.5) for example in context.new]
    with pytest.raises(ValueError, match="EWCPlugin needs a task in which each event has one class"):
        avalanche("EWCPlugin").begin(context)


def test_what_is_no_tensor_is_not_kept() -> None:
    # Given a plugin that would keep a model, Then plugin and attribute are named
    class TeacherPlugin:
        teacher: Mapping[str, object] = {"a": "model"}

    with pytest.raises(TypeError, match=r"TeacherPlugin\.teacher\.a is str; only tensors can be kept"):
        encode(TeacherPlugin(), Plugin(Options, keeps=(("teacher",),)))


def test_what_the_facade_lacks_is_named() -> None:
    strategy, context, _ = second("LwFPlugin")
    with pytest.raises(NotProvided, match=r"LwFPlugin asks for strategy\.evaluator, which retaind does not provide"):
        _ = strategy._now._facade.evaluator
    with pytest.raises(NotProvided, match="deepcopy"):
        FacadeModel(context.model, ()).__deepcopy__({})


def test_other_warnings_than_deprecations_are_passed_on() -> None:
    @quiet()
    def noisy() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("look here", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="look here") as told:
        noisy()
    assert len(told) == 1


def test_a_scope_goes_on_where_it_was() -> None:
    # Given two scopes of one seed, When one is left and entered again, Then both draw the same
    one, two = Scope(3), Scope(3)
    with one():
        drawn = [random.random(), float(torch.rand(())), float(np.random.random())]
    with one():
        drawn += [random.random(), float(torch.rand(()))]
    with two():
        again = [random.random(), float(torch.rand(())), float(np.random.random())]
        again += [random.random(), float(torch.rand(()))]
    assert drawn == again


def test_gradients_come_back_where_a_plugin_fails() -> None:
    model = SpecimenModel(3)
    model.head.weight.grad = torch.ones_like(model.head.weight)

    @aside(model)
    def fails() -> None:
        assert model.head.weight.grad is None
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fails()
    assert model.head.weight.grad is not None


def test_arguments_are_known_for_every_plugin() -> None:
    assert set(ARGS) == set(PLUGINS)
