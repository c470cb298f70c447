"""How a version becomes one that is learnt on: read and solved, beside the folding, then handed over.

Reading takes a second or two (files are verified, the HeadState is solved, names are encoded) and touches nothing but
files. The rest needs buffer and ledger, and takes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from daemon.config.head import NoHead
from daemon.config.paths import StatePaths
from daemon.config.task import TaskConfig
from daemon.heads import get_head
from daemon.heads import store as head_store
from daemon.heads.blend import DEFAULT_BLEND
from daemon.heads.naming import name_standing
from daemon.heads.ports import HeadState
from daemon.heads.tracking import TrackedBlend
from daemon.registry.version import Version
from daemon.serving.loading import load_served
from daemon.serving.served import ServedModel
from daemon.tasks.base import TaskSchema
from daemon.tasks.labels import is_class


@dataclass(frozen=True, slots=True)
class Opened:
    """``state`` None: the task has no fast head; ``directory``: where the state is saved; ``cursor``: the last change
    that is in."""

    served: ServedModel
    state: HeadState | None
    blend: TrackedBlend
    directory: Path
    cursor: int


def read_version(
    task: str, config: TaskConfig, schema: TaskSchema, version: Version, paths: StatePaths, device: torch.device
) -> Opened:
    """With the version's last HeadState where there is one, else the one its update refitted, else an empty one.

    Raises VersionError for a version that does not load, VersionCorrupt for a snapshot whose hash differs.
    """
    directory = paths.head(task, version.id)
    kind = get_head(config.head.kind)
    served = load_served(version, None, device)
    if kind is None:
        return Opened(served, None, TrackedBlend(1.0), directory, version.meta.cursor)
    refitted = version.path / "fast"
    source = next((d for d in (directory, refitted) if head_store.state_cursor(d) is not None), None)
    state = kind.new(config.head.model_dump(mode="json")) if source is None else head_store.load_state(source)
    chosen = DEFAULT_BLEND
    if head_store.weights_stamp(refitted) is not None:
        chosen = head_store.load_weights(refitted)[1]
    if names_classes(config, schema):
        name_standing(state, config.labels, partial(served.features, layers=state.layers))
    state.weights(partial(is_class, cfg=config.labels))  # solved now, asked for again when it is published
    return Opened(served, state, TrackedBlend.load(directory, chosen), directory, state.cursor)


def names_classes(config: TaskConfig, schema: TaskSchema) -> bool:
    """Whether the words of a label are the first example of its class."""
    return not isinstance(config.head, NoHead) and config.head.names and schema.has_classes
