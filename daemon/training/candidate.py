"""The parent of a job and the candidate that grows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from torch import nn

from daemon.config.task import Model, TaskConfig
from daemon.errors import VersionCorrupt, VersionIncomplete
from daemon.models.base import resolve_base
from daemon.models.encoder import Encoder
from daemon.models.tuned import TunedModel, load_tuned
from daemon.models.tuning import apply_tuning
from daemon.registry.lineage import untrained
from daemon.registry.version import VersionMeta
from daemon.tasks import get_task

_SHAPE: Mapping[str, Sequence[str]] = {"lora": ("rank", "alpha", "targets")}
"""Options by kind of tune without which a parent's changes cannot be continued."""


def read_meta(version: Path) -> VersionMeta:
    """What the manifest of a version's directory says of it. Raises VersionIncomplete, VersionCorrupt."""
    path = version / "manifest.json"
    try:
        return VersionMeta(**orjson.loads(path.read_bytes())["meta"])
    except FileNotFoundError as error:
        raise VersionIncomplete(f"{path}: not there; the job's parent is not a version") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise VersionCorrupt(f"{path}: not a manifest ({error!r}); freeze the job anew") from error


@dataclass(frozen=True, slots=True)
class Parent:
    """Where the parent lies; :meth:`load` and :meth:`base` give a model of its own each time. ``anew``: nothing is
    taken over from it (a joint training), so what loads is its base."""

    path: Path
    meta: VersionMeta
    device: torch.device
    anew: bool = False

    def load(self) -> TunedModel:
        """In eval mode, nothing trainable. Raises VersionCorrupt, ConfigError."""
        return self.base() if self.anew else load_tuned(self.path, self.meta, self.device)

    def base(self) -> TunedModel:
        """What it grew from: no update has moved it, and it has no head. In eval mode, nothing trainable."""
        encoder = Encoder.load(resolve_base(Model(base=self.meta.base)), self.device)
        return TunedModel(encoder.requires_grad_(False), None, (), get_task(self.meta.task_type)).eval()


def continues(parent: Parent, tune: Mapping[str, Any]) -> bool:
    """Whether an update with ``tune`` goes on from the parent's changes, or starts from the base."""
    before = parent.meta.tune
    if parent.anew:
        return False
    return before["kind"] == tune["kind"] and all(before.get(key) == tune[key] for key in _SHAPE.get(tune["kind"], ()))


def starts_from(parent: Parent, tune: Mapping[str, Any]) -> bool:
    """Whether an update with ``tune`` begins where the parent's weights are: it goes on from them, or they are the
    base's."""
    return untrained(parent.path) or continues(parent, tune)


def make_candidate(parent: Parent, config: TaskConfig, labels: Sequence[str], seed: int) -> TunedModel:
    """The parent's model (see :func:`continues`) with a head for ``labels``, what ``tune`` moves made trainable.

    Rows of labels that the parent has keep their values, unless all is learned anew. Raises ConfigError where
    ``tune`` does not fit.
    """
    model = parent.load()
    task, old = model.task, model.head
    encoder = model.encoder
    if not continues(parent, config.tune.model_dump(mode="json")):
        encoder = parent.base().encoder
    previous = None if old is None else (old, model.labels)
    head: nn.Module = task.build_head(encoder.hidden_size, labels, previous, seed).to(parent.device)
    candidate = TunedModel(encoder, head, labels if task.has_classes else (), task)
    apply_tuning(encoder, config.tune, seed)
    candidate.set_dropout(config.training.dropout_ratio)
    head.requires_grad_(True)
    return candidate
