"""Which events a version was trained on, those of the versions that it goes on from included: for erasures.

``trained.ids`` holds sorted 8-byte digests (BLAKE2b) of event ids, no id and no text. Of a million events two
share a digest with a probability of 3e-8: then a version is named too many, never one too few.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.durable import write_synced
from daemon.registry.version import Registry, Version

LINEAGE = "trained.ids"
_DIGEST = np.dtype(">u8")


def write_lineage(directory: Path, parent: Path | None, event_ids: Iterable[str]) -> None:
    """For the version made in ``directory`` out of the one in ``parent`` (None: out of the base)."""
    own = np.array([_digest(event_id) for event_id in event_ids], _DIGEST)
    inherited = own[:0] if parent is None else _read(parent)
    write_synced(directory / LINEAGE, np.union1d(inherited, own).astype(_DIGEST).tobytes())


def trained_on(registry: Registry, task: str, event_ids: Sequence[str]) -> list[Version]:
    """The versions of ``task`` that were trained on any of the events."""
    wanted = np.array([_digest(event_id) for event_id in event_ids], _DIGEST)
    return [version for version in registry.versions(task) if np.isin(wanted, _read(version.path)).any()]


def untrained(directory: Path) -> bool:
    """Whether no update has led to the version in ``directory``: it is the base."""
    return not (directory / LINEAGE).exists()


def _read(directory: Path) -> NDArray[np.uint64]:
    path = directory / LINEAGE
    return np.frombuffer(path.read_bytes() if path.exists() else b"", _DIGEST)


def _digest(event_id: str) -> int:
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "big")
