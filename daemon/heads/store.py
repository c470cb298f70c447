"""Fast heads on disk: one directory for each (task, version), written by one process, read by many.

::

    heads/support/000042/
      state.json      {"file", "sha256", "cursor", "kind", "labels"}: names the snapshot that counts
      state-000000018211-3f2a9c0d71e4.safetensors
      weights.json    the same for what predictors load, with "blend"
      weights-000000018214-9b1c77e02d5a.safetensors

Beside them the learner keeps what it goes on from: ``blend.json`` (:mod:`daemon.heads.tracking`), ``judge/``
(:mod:`daemon.roles.scrutiny`) and ``left_out.json`` (:mod:`daemon.roles.leaving`).

The same files lie in a version's ``fast/`` and a job's ``fast/``. Labels, options and the blend weight
stand in the safetensors file's own header too, under its hash; the pointer is for looking quickly.

Guarantees:

1. A pointer always names a complete file: the file is written and synced under a new name first, then
   the pointer is replaced (write, fsync, rename, fsync directory). A crash leaves the old or the new.
2. Nothing is loaded whose SHA-256 differs from the pointer's (VersionCorrupt).
3. Reading while the writer replaces gives the old or the new one, never a mixture or an error: who
   finds the file gone reads the pointer again.
4. Weights never go back: while a learner that was restarted catches up from its last state, the newer
   weights of before answer on.

No torch here: ingest's and the command line's processes may import it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from daemon.durable import write_atomically
from daemon.errors import ConfigError, UnsafeFile, VersionCorrupt, VersionError, VersionIncomplete
from daemon.heads import get_head
from daemon.heads.ports import FastWeights, HeadKind, HeadState

What = Literal["state", "weights"]
Made = TypeVar("Made")

_FILE = re.compile(r"^(state|weights)-[0-9]{12,20}-[0-9a-f]{12}\.safetensors$")
_HEADER = "retaind"


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer says. ``blend`` is None for a state."""

    file: str
    sha256: str
    cursor: int
    kind: str
    labels: tuple[str, ...]
    blend: float | None


def save_state(directory: Path, state: HeadState) -> None:
    """Write the whole state, atomically; the one before it is deleted. Raises OSError."""
    _save(directory, "state", state, None)


def load_state(directory: Path) -> HeadState:
    """Raises VersionIncomplete where there is none, VersionCorrupt, UnsafeFile."""
    kind, tensors, metadata, _ = _load(directory, "state")
    return _made(directory, "state", lambda: kind.load_state(tensors, metadata))


def save_weights(directory: Path, weights: FastWeights, blend: float) -> bool:
    """Write what predictors load, with the tuned head's weight in the answer (0 to 1).

    False, and nothing written, where weights of a later cursor are there already. Raises OSError, ValueError.
    """
    if not 0.0 <= blend <= 1.0:
        raise ValueError(f"blend: {blend}; allowed: 0 to 1")
    try:
        there = weights_cursor(directory)
    except VersionError:  # broken: replaced by what is whole
        there = None
    if there is not None and there > weights.cursor:
        return False
    _save(directory, "weights", weights, blend)
    return True


def load_weights(directory: Path) -> tuple[FastWeights, float]:
    """The weights and the tuned head's weight. Raises VersionIncomplete where there are none, VersionCorrupt,
    UnsafeFile."""
    kind, tensors, metadata, blend = _load(directory, "weights")
    if blend is None:
        raise VersionCorrupt(f"{directory}/weights.json: no blend; save the weights again")
    return _made(directory, "weights", lambda: kind.load_weights(tensors, metadata)), blend


def state_cursor(directory: Path) -> int | None:
    """The cursor of the saved state, None where there is none. Raises VersionCorrupt."""
    pointer = read_pointer(directory, "state")
    return None if pointer is None else pointer.cursor


def weights_cursor(directory: Path) -> int | None:
    """The cursor of the saved weights, None where there are none. Raises VersionCorrupt."""
    pointer = read_pointer(directory, "weights")
    return None if pointer is None else pointer.cursor


def weights_stamp(directory: Path) -> object | None:
    """Something that differs after each :func:`save_weights` (one ``stat``); None where there are none."""
    try:
        found = (directory / "weights.json").stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_pointer(directory: Path, what: What) -> Pointer | None:
    """What counts now; None where nothing was saved. Raises VersionCorrupt, UnsafeFile."""
    path = directory / f"{what}.json"
    try:
        found = orjson.loads(path.read_bytes())
        blend = found.get("blend")
        pointer = Pointer(
            file=str(found["file"]),
            sha256=str(found["sha256"]),
            cursor=int(found["cursor"]),
            kind=str(found["kind"]),
            labels=tuple(found["labels"]),
            blend=None if blend is None else float(blend),
        )
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VersionCorrupt(f"{path}: not a pointer ({error!r}); restore it or delete the directory") from error
    if not _FILE.match(pointer.file) or not pointer.file.startswith(what):
        raise UnsafeFile(f"{path}: file {pointer.file!r}; allowed: {what}-CURSOR-HASH.safetensors beside it")
    return pointer


def _save(directory: Path, what: What, head: HeadState | FastWeights, blend: float | None) -> None:
    said = {"kind": head.kind, "metadata": dict(head.metadata()), "blend": blend}
    header = {_HEADER: json.dumps(said, ensure_ascii=False, sort_keys=True)}
    data = serialise({name: np.ascontiguousarray(array) for name, array in head.tensors().items()}, header)
    sha256 = hashlib.sha256(data).hexdigest()
    pointer = {
        "file": f"{what}-{head.cursor:012d}-{sha256[:12]}.safetensors",
        "sha256": sha256,
        "cursor": head.cursor,
        "kind": head.kind,
        "labels": list(head.labels),
    }
    if blend is not None:
        pointer["blend"] = blend
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / str(pointer["file"]), data)
    write_atomically(directory / f"{what}.json", orjson.dumps(pointer))
    for path in (*directory.glob(f"{what}-*.safetensors"), *directory.glob(f".{what}*.tmp")):
        if path.name != pointer["file"]:
            path.unlink(missing_ok=True)


def _load(directory: Path, what: What) -> tuple[HeadKind, Mapping[str, NDArray[Any]], Mapping[str, Any], float | None]:
    data = _read(directory, what)
    try:
        tensors = parse(data)
        length = int.from_bytes(data[:8], "little")
        said = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_HEADER])
        kind = get_head(said["kind"])
        metadata, blend = said["metadata"], said["blend"]
    except (SafetensorError, KeyError, ValueError, ConfigError) as error:
        raise VersionCorrupt(f"{directory}: the {what} cannot be read ({error}); made by another retaind?") from error
    if kind is None:
        raise VersionCorrupt(f"{directory}: the {what} is of kind {said['kind']!r}, which keeps none")
    return kind, tensors, metadata, blend


def _read(directory: Path, what: What) -> bytes:
    """The file that the pointer names, hash verified; the pointer is read again while it moves."""
    pointer = read_pointer(directory, what)
    while pointer is not None:
        try:
            data = (directory / pointer.file).read_bytes()
            found = hashlib.sha256(data).hexdigest()
        except FileNotFoundError:
            data, found = b"", "no such file"
        if found == pointer.sha256:
            return data
        newer = read_pointer(directory, what)
        if newer == pointer:
            raise VersionCorrupt(
                f"{directory / pointer.file}: SHA-256 {found}; {what}.json says {pointer.sha256}; "
                "restore the file or delete the directory, the learner builds it anew"
            )
        pointer = newer
    raise VersionIncomplete(f"{directory}: no {what}.json; nothing was saved there yet")


def _made(directory: Path, what: What, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except (KeyError, ValueError, TypeError) as error:
        raise VersionCorrupt(f"{directory}: the {what} does not fit together ({error})") from error
