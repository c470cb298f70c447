"""Files that survive a crash: digests, and replacement of which readers see the old or the new one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon.errors import StoreError, StoreFull

UNWRITABLE: Mapping[int, tuple[type[StoreError], str]] = {
    errno.ENOSPC: (StoreFull, "make room"),
    errno.EDQUOT: (StoreFull, "make room"),
    errno.EROFS: (StoreError, "mount it to write, or set state_dir"),
    errno.EACCES: (StoreError, "give it to the user that runs retaind, or set state_dir"),
    errno.EPERM: (StoreError, "give it to the user that runs retaind, or set state_dir"),
}
"""What the system says of a disk -> our error, and the mend."""


@contextmanager
def written_to(root: Path) -> Iterator[None]:
    """Raise StoreFull or StoreError, naming ``root`` and the mend, where what lies there cannot be written.

    An error about a file elsewhere stays what it is: the mend would be wrong.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in UNWRITABLE or _elsewhere(error, root):
            raise
        kind, mend = UNWRITABLE[error.errno]
        file = f" ({error.filename})" if error.filename else ""
        raise kind(f"{root}: cannot be written: {error.strerror}{file}; {mend}") from error


def _elsewhere(error: OSError, root: Path) -> bool:
    """Whether the error names a file, and one that is not under ``root``."""
    named = isinstance(error.filename, str | bytes)
    return named and not Path(os.fsdecode(error.filename)).absolute().is_relative_to(root.absolute())


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Write and fsync; the name may be lost in a power cut until its directory is synced."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``.NAME.tmp`` beside it, fsync, rename, fsync the directory. One writer at a time."""
    temporary = path.with_name(f".{path.name}.tmp")
    write_synced(temporary, data)
    temporary.replace(path)
    sync_path(path.parent)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait until no other block, of whatever process or thread, has ``directory``, and have it until the end of this
    one. Nothing is left there; the kernel takes it from a holder that dies."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_path(path: Path) -> None:
    """fsync a file or a directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(root: Path) -> None:
    """fsync every file and directory under ``root``, and ``root``."""
    for path in (*root.rglob("*"), root):
        sync_path(path)
