"""What is measured: on which history, with which learners, how often. Plain data, so that a child process can be told.

A *trial* is one learner on one seed with one learning rate, run in a process of its own: CPU seconds and peak memory
are its own then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from daemon.config.load import load as load_config
from daemon.errors import ConfigError

RATES = (0.0001, 0.0002, 0.0005)
"""Learning rates that are tried for every learner that trains; the head's is ten times as high."""
HEAD_TIMES = 10
EPOCHS = 4
"""Of the peers after each group and of joint training; ours trains as its recipe says."""
FAST, REPLAY, DEFAULT, JOINT = "fast head alone", "replay", "default recipe", "joint (upper bound)"
PEERS = ("Naive", "Replay", "EWC", "LwF", "DER")
"""Strategies of Avalanche, by the names of ``daemon.bench.learning.avalanche``."""

Kind = Literal["ours", "avalanche", "joint", "shots"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How ours learns. ``task``: keys of the task that differ from the configuration's; ``trains`` False: there
    is no learning rate to choose. With ``trigger`` no end of a group is told: the configured trigger decides."""

    update_on: Literal["group", "none", "trigger"] = "trigger"
    gate: bool = True
    trains: bool = True
    task: Mapping[str, Any] = field(default_factory=dict)


OURS: Mapping[str, Recipe] = {
    FAST: Recipe(update_on="none", trains=False),
    REPLAY: Recipe("group", gate=False, task={"head": {"kind": "none"}, "strategies": [{"name": "replay"}]}),
    DEFAULT: Recipe(),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """``on``: the rows that are scored, ``validation`` for choosing ``rate``. ``task``: the task's configuration;
    ``recipe``: of ours; ``epochs``, ``memory_per_class`` (texts kept for replay): of the peers."""

    kind: Kind
    name: str
    stream: str
    holdout: str
    seed: int = 0
    rate: float | None = None
    on: Literal["holdout", "validation"] = "holdout"
    task: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = EPOCHS
    memory_per_class: int = 10
    evaluate_every: int = 100


def dump(trials: Sequence[Trial]) -> bytes:
    return orjson.dumps([asdict(trial) for trial in trials])


def load(data: bytes) -> list[Trial]:
    """Of what ``dump`` wrote."""
    return [Trial(**each) for each in orjson.loads(data)]


@dataclass(frozen=True, slots=True)
class Plan:
    """``stream``, ``holdout``: files of events, None for texts of our own. ``task``: the configuration that ours has.
    ``recipes``: further ones by name. ``svg``: where the figure goes; ``keep``: a directory for results of finished
    trials, which are not measured again."""

    stream: Path | None = None
    holdout: Path | None = None
    seeds: Sequence[int] = (0, 1, 2)
    task: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    svg: Path | None = None
    keep: Path | None = None

    def __post_init__(self) -> None:
        if (self.stream is None) != (self.holdout is None):
            raise ConfigError("bench learning: STREAM and --holdout go together (without both: texts of our own)")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"--seeds {','.join(map(str, self.seeds))}: one or more, each once")
        taken = {*OURS, JOINT} & set(self.recipes)
        if taken:
            raise ConfigError(f"--recipe {', '.join(sorted(taken))}: that name is taken")

    @property
    def ours(self) -> Mapping[str, Recipe]:
        return {**OURS, **{name: Recipe(task=keys) for name, keys in self.recipes.items()}}


def numbers(given: str) -> Sequence[int]:
    """``0,1,2``. Raises ConfigError."""
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError as error:
        raise ConfigError(f"--seeds {given!r}: whole numbers with commas between, as in 0,1,2") from error


def recipe(given: str) -> tuple[str, Mapping[str, Any]]:
    """``name={tune: {kind: full}}``: a name and keys of a task. Raises ConfigError."""
    name, _, keys = given.partition("=")
    if not name or not keys.startswith("{"):
        raise ConfigError(f"--recipe {given!r}: NAME={{KEY: VALUE, ...}}, with keys of a task")
    checked = load_config(None, (f"tasks.recipe={keys}",), {}).config.tasks["recipe"]
    return name, checked.model_dump(mode="json", exclude_unset=True)
