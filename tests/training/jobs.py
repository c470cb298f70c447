"""Small jobs on the real base model: a few short texts, a few classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from daemon.config.task import Model, TaskConfig
from daemon.events import Input, Split, StoredEvent
from daemon.models.base import BaseFiles, resolve_base
from daemon.models.tuned import write_base_version
from daemon.registry.version import VersionMeta
from daemon.update.job import UpdateJob, write_job

WORDS: Mapping[str, Sequence[str]] = {
    "card": ("my card was swallowed", "the card is lost", "where is my new card", "card blocked abroad"),
    "fee": ("why was I charged a fee", "the fee is too high", "refund this fee", "a fee for nothing"),
    "limit": ("raise my limit", "what is my limit", "the limit is too low", "limit reached today"),
}
SMALL: Mapping[str, Any] = {
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.001, "head_learning_rate": 0.05},
    "tune": {"kind": "lora"},
    "head": {"kind": "none"},
    "strategies": [{"name": "replay"}],
}


def row(label: str, index: int, split: Split = Split.TRAIN) -> StoredEvent:
    text = f"{WORDS[label][index % 4]} {index}"
    key = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return StoredEvent(f"{label}-{index}", "support", 0.0, Input(text=text), key, split, label, 0.0, seq=index + 1)


def rows(labels: Sequence[str], count: int, split: Split = Split.TRAIN, start: int = 0) -> list[StoredEvent]:
    """``count`` rows a class."""
    return [row(label, start + i, split) for i in range(count) for label in labels]


def meta(**changes: Any) -> VersionMeta:
    base = _base()
    return VersionMeta("support", "sequence", base.name, base.sha256, 128, **changes)


def base_version(directory: Path) -> Path:
    """What every task starts from: no classes."""
    write_base_version(_base(), "sequence", directory)
    return as_version(directory, meta())


def as_version(directory: Path, about: VersionMeta) -> Path:
    """Give the files of ``directory`` a manifest."""
    said = {"id": "000001", "created": 0.0, "meta": asdict(about), "files": {}}
    (directory / "manifest.json").write_bytes(orjson.dumps(said))
    return directory


def write(
    directory: Path,
    parent: Path,
    found: Mapping[str, Sequence[StoredEvent]],
    labels: Sequence[str],
    *,
    old: int = 0,
    fast: Path | None = None,
    seed: int = 3,
    joint: int = 0,
    **config: Any,
) -> Path:
    """A frozen job; ``config`` overrides :data:`SMALL`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    task = TaskConfig.model_validate({**SMALL, **config})
    job = UpdateJob(
        id="000007",
        task="support",
        parent="000001",
        cursor=99,
        labels=tuple(labels),
        old_labels=old,
        seed=seed,
        created=0.0,
        config=task.model_dump(mode="json"),
        reason="test",
        joint=joint,
    )
    write_job(directory, job, found, parent, fast)
    return directory


@cache
def _base() -> BaseFiles:
    return resolve_base(Model())
