"""Strategies of an update, and what each keeps in the version for the next one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file

from daemon.config.task import TaskConfig
from daemon.training.candidate import Parent, continues
from strategies import catalog
from strategies.base import Strategy

STRATEGY = "strategy"
"""The folder of a version where strategies keep their state: NAME.safetensors."""


def make_strategies(config: TaskConfig, parent: Parent) -> Mapping[str, Strategy]:
    """As configured, each with the state that the parent's update left (if it left one, and its weights are those that
    this update continues)."""
    made = {ref.name: catalog.make(ref.name, ref.options) for ref in config.strategies}
    if continues(parent, config.tune.model_dump(mode="json")):
        for name, strategy in made.items():
            kept = parent.path / STRATEGY / f"{name}.safetensors"
            if kept.is_file():
                strategy.load_state_dict(load_file(kept))
    return made


def save_strategies(strategies: Mapping[str, Strategy], version: Path) -> None:
    """Of those that keep something."""
    for name, strategy in strategies.items():
        state = {key: tensor.detach().cpu().contiguous() for key, tensor in strategy.state_dict().items()}
        if state:
            (version / STRATEGY).mkdir(parents=True, exist_ok=True)
            save_file(state, version / STRATEGY / f"{name}.safetensors")
