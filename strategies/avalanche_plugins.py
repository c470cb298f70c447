"""Which plugins of Avalanche run here, what they are given, and what to use instead of the others. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from strategies import avalanche_args as args
from strategies import avalanche_source as source
from strategies.options import Options

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Plugin:
    """How a plugin gets from one update's process to the next.

    ``past``: what it knows of earlier updates is told to it anew by its own ``after_training_exp``: from the job's
    replay ``pool``, or with the ``parent``'s model. Otherwise ``keeps``: the attributes (and the keys in them) that
    a version keeps as tensors; ``blank``: those that are zeros of the same shapes when an update begins.
    ``on_cpu``: where the plugin holds them. ``copied``: what must not share memory with the model's weights, as it
    does on a CPU (``.detach().cpu().flatten()`` is a view there, and moves with the weights that it should remember).
    """

    args: type[Options]
    past: Literal["pool", "parent"] | None = None
    keeps: Sequence[Path] = ()
    blank: Sequence[Path] = ()
    on_cpu: bool = False
    copied: Sequence[Path] = ()


PLUGINS: Mapping[str, Plugin] = MappingProxyType(
    {
        "AGEMPlugin": Plugin(args.AgemArgs, past="pool"),
        "EWCPlugin": Plugin(args.EwcArgs, keeps=(("saved_params",), ("importances",))),
        "GEMPlugin": Plugin(args.GemArgs, past="pool"),
        "LwFPlugin": Plugin(args.LwfArgs, past="parent"),
        "MASPlugin": Plugin(args.MasArgs, keeps=(("params",), ("importance",))),
        "ReplayPlugin": Plugin(args.ReplayArgs, past="pool"),
        "SynapticIntelligencePlugin": Plugin(
            args.SynapticIntelligenceArgs,
            keeps=(("ewc_data", 1), ("syn_data", "cum_trajectory")),
            blank=(
                ("ewc_data", 0),
                ("syn_data", "old_theta"),
                ("syn_data", "new_theta"),
                ("syn_data", "grad"),
                ("syn_data", "trajectory"),
            ),
            on_cpu=True,
            copied=(("ewc_data", 0), ("syn_data", "old_theta")),
        ),
    }
)

_OWN: tuple[str, ...] | None = None
"""An object of Avalanche's or torch's own: all that it has."""

PROVIDES: Mapping[str, tuple[str, tuple[str, ...] | None]] = MappingProxyType(
    {
        "model": (
            "The model that is trained, called with `mb_x`; its parameters are those that `tune` moves.",
            ("named_parameters", "parameters", "train", "eval", "training"),
        ),
        "optimizer": ("Clears gradients; the trainer steps.", ("zero_grad",)),
        "_criterion": ("The task's mean loss, called with `(output, targets)`.", ()),
        "device": ("`torch.device` of the model.", _OWN),
        "train_mb_size": ("`training.batch_size`.", _OWN),
        "clock": (
            "Avalanche's own; updates are its experiences, counted as far as the plugin knows them.",
            (
                "train_exp_counter",
                "train_exp_epochs",
                "train_exp_iterations",
                "train_epoch_iterations",
                "train_iterations",
            ),
        ),
        "experience": (
            "The update's new events.",
            ("dataset", "classes_in_this_experience", "current_experience", "task_label", "task_labels"),
        ),
        "adapted_dataset": ("The same dataset.", _OWN),
        "dataloader": ("May be set: the events of the pool in its batches join the trainer's.", _OWN),
        "mbatch": ("`[mb_x, mb_y, mb_task_id]` of the step.", _OWN),
        "mb_x": ("[B, 1]: which texts, as the model takes them; no token ids.", _OWN),
        "mb_y": ("[B]: class numbers.", _OWN),
        "mb_task_id": ("[B]: zeros.", _OWN),
        "mb_output": ("[B, C]: logits.", _OWN),
        "loss": ("Scalar, the task's weighted mean loss; what it becomes is trained.", _OWN),
        "is_training": ("True.", _OWN),
    }
)
"""Attributes of the ``strategy`` that a plugin gets: what each is, and which attributes of it are there."""

_INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        "BiCPlugin": "the strategy replay, or head: {kind: ncm}",
        "CWRStarPlugin": "head: {kind: ncm}",
        "CoPEPlugin": "head: {kind: ncm}",
        "CurrentDataFeCAMUpdate": "head: {kind: ncm}",
        "CurrentDataNCMUpdate": "head: {kind: ncm}",
        "EarlyStoppingPlugin": "training.patience",
        "EvaluationPlugin": "the gate, and the metrics",
        "FeCAMOracle": "head: {kind: ncm}",
        "FeatureDistillationPlugin": "LwFPlugin",
        "FromScratchTrainingPlugin": "another tune.kind: such an update starts from the base model",
        "GDumbPlugin": "the strategy replay",
        "GSS_greedyPlugin": "the strategy replay",
        "GenerativeReplayPlugin": "the strategy replay",
        "LFLPlugin": "LwFPlugin",
        "LRSchedulerPlugin": "training.warmup_ratio",
        "MIRPlugin": "the strategy replay",
        "MemoryFeCAMUpdate": "head: {kind: ncm}",
        "MemoryNCMUpdate": "head: {kind: ncm}",
        "NCMOracle": "head: {kind: ncm}",
        "RARPlugin": "the strategy replay",
        "RWalkPlugin": "SynapticIntelligencePlugin",
        "TrainGeneratorAfterExpPlugin": "the strategy replay",
    }
)

_UNFIT: Mapping[str, str] = MappingProxyType(
    {
        "BiCPlugin": "corrects the answers when it evaluates, and a served version has no such hook",
        "CWRStarPlugin": "takes the model itself as an argument, which YAML cannot hold",
        "LFLPlugin": "needs model.get_features",
        "RARPlugin": "changes the numbers of an input, and a text has none to change",
        "RWalkPlugin": "divides 0 by 0 after an update of fewer steps than delta_t",
    }
)
"""Where the attributes would do, what else is in the way."""


def refusal(plugin: str) -> str | None:
    """Why a plugin does not run here and what to use instead; None where it does. Raises ValueError as
    :func:`avalanche_source.plugins`."""
    allowed = ", ".join(sorted(PLUGINS))
    if plugin not in source.plugins():
        return f"avalanche.training.plugins has no such plugin; allowed: {allowed}"
    lacking = missing(source.uses(plugin))
    if not lacking and plugin in PLUGINS:
        return None
    why = _UNFIT.get(plugin, "has not been shown to work here")
    if lacking:
        why = f"needs {', '.join(f'strategy.{name}' for name in lacking)}, which retaind does not provide"
    return f"{why}; use instead: {_INSTEAD.get(plugin, f'one of {allowed}')}"


def missing(used: frozenset[str]) -> Sequence[str]:
    """Of attributes ``X`` and ``X.Y``, those that are not provided, sorted."""

    def provided(name: str) -> bool:
        first, _, second = name.partition(".")
        if first not in PROVIDES:
            return False
        only = PROVIDES[first][1]
        return not second or only is None or second in only

    lacking = sorted(name for name in used if not provided(name))
    return [name for name in lacking if name.partition(".")[0] == name or name.partition(".")[0] not in lacking]
