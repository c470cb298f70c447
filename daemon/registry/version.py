"""What a version is on disk, and the port of the registry.

One immutable directory of one task::

    000042/
      labels.json            ["card_lost", …] in the order of the head's rows
      young.json             of these, those that the tuned head has seen too little of (absent: none)
      head.safetensors       the tuned head (absent in a base version)
      adapter/               adapter_config.json, adapter_model.safetensors (PEFT's own layout), or
      weights.safetensors    the encoder's changed tensors, by name (tune: last_layers, full)
      tokenizer/             tokenizer.json, tokenizer_config.json
      strategy/NAME.safetensors
      fast/                  the HeadState as refitted at the job's cursor (daemon.heads.state)
      manifest.json          written last: a directory without it is not a version

``tests/registry/contract.py`` is the suite that every registry passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

Alias = Literal["champion", "previous"]


@dataclass(frozen=True, slots=True)
class VersionMeta:
    """What the maker of a version says of it. ``base`` and ``base_sha256`` name the encoder it stands on;
    ``cursor`` is the last change it was trained on; ``metrics`` are the training's; ``recipe``: the job's
    ``config``, ``seed``, ``reason`` and ``counts`` of rows (empty in a base version)."""

    task: str
    task_type: str
    base: str
    base_sha256: str
    max_tokens: int
    parent: str | None = None
    cursor: int = 0
    tune: Mapping[str, Any] = field(default_factory=lambda: {"kind": "base"})
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """A complete version. ``files`` maps relative names to SHA-256 hex digests."""

    id: str
    created: float
    meta: VersionMeta
    files: Mapping[str, str]
    path: Path


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of the append-only history: ``kind`` is one of published, verdict, promoted, rejected,
    rolled_back, held, released, deleted, job_failed."""

    seq: int
    time: float
    kind: str
    task: str
    version: str | None
    who: str
    why: str
    details: Mapping[str, Any] = field(default_factory=dict)


MOVES = ("promoted", "rolled_back")
"""Kinds of history entries that move the aliases; their details say ``from`` which version."""


class Registry(Protocol):
    """Versions, aliases, history. One writer (the learner, or the CLI under ``lock.learn``), many readers.

    Guarantees:

    1. A version is visible only once its manifest is on disk, which is written last.
    2. An alias always names a complete version: it is replaced atomically (write, fsync, rename,
       fsync directory).
    3. Nothing that an alias names is deleted.
    4. A promotion or rollback that a crash broke off is finished by ``settle``, or never began.
    5. ``load`` verifies every SHA-256 and refuses names and formats off the allow-list.
    """

    def publish(self, staging: Path, meta: VersionMeta, *, created: float) -> Version:
        """Take the files of ``staging`` (moved) as the next version, numbered across tasks.
        Raises UnsafeFile for a file that is not on the allow-list."""

    def load(self, version: str) -> Version:
        """Verified. Raises UnknownVersion, VersionIncomplete, VersionCorrupt, UnsafeFile."""

    def versions(self, task: str | None = None) -> Sequence[Version]:
        """Complete ones, by id (hashes not verified)."""

    def alias(self, task: str, name: Alias) -> str | None: ...

    def promote(
        self, task: str, version: str, *, who: str, why: str, time: float, details: Mapping[str, Any] | None = None
    ) -> None:
        """champion -> previous, ``version`` -> champion, with a history entry."""

    def rollback(self, task: str, *, who: str, why: str, time: float, details: Mapping[str, Any] | None = None) -> str:
        """champion <- previous; returns it. Raises CommandRefused where there is no previous one."""

    def settle(self, task: str) -> None:
        """Finish a promotion or rollback that a crash broke off: its history entry stands, so both aliases
        are set as it says. For the writer, at its start; done again it changes nothing."""

    def record(
        self,
        kind: str,
        task: str,
        version: str | None,
        *,
        who: str,
        why: str,
        time: float,
        details: Mapping[str, Any] | None = None,
    ) -> HistoryEntry: ...

    def history(self, task: str | None = None, version: str | None = None) -> Sequence[HistoryEntry]: ...

    def retain(self, task: str, keep: int) -> Sequence[str]:
        """Delete the oldest versions beyond ``keep``, never one that an alias or a kept version's
        ``parent`` names; returns what went."""
