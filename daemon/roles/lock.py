"""One process a role: ``lock.ingest`` and ``lock.learn`` in the state directory, held by ``flock``.

The kernel lets go of it when the holder dies, however it dies. Who holds it is written inside.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import structlog

from daemon.errors import LockHeld

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.2


class RoleLock:
    """``with RoleLock(state_dir, "ingest").acquire(): …``"""

    def __init__(self, state_dir: Path, role: str) -> None:
        self._path = state_dir / f"lock.{role}"
        self._role = role
        self._file: int | None = None

    def acquire(self, *, standby: bool = False, stop: threading.Event | None = None) -> RoleLock:
        """Take the lock. ``standby`` waits until the holder is gone, or ``stop`` is set.

        Raises LockHeld naming the holder; with ``standby`` only where ``stop`` ended the wait.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(file, standby, stop or threading.Event())
            me = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "start": datetime.now(UTC).isoformat("T", "seconds"),
            }
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(me).encode(), 0)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return self

    def release(self) -> None:
        """Let go; nothing happens where it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> RoleLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def _take(self, file: int, standby: bool, stop: threading.Event) -> None:
        waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = _holder(file)
            if not standby:
                raise LockHeld(
                    f"{self._path}: the {self._role} role is held by {holder}; stop it, or start with --standby to wait"
                )
            if not waiting:
                log.info("standby", role=self._role, holder=holder)
                waiting = True
            if stop.wait(LOOK_EVERY_S):
                raise LockHeld(f"{self._path}: stopped while waiting for {holder}")


def holder(state_dir: Path, role: str) -> str | None:
    """Who holds the lock of ``role``; None where nobody does.

    Looks by a shared lock, held for an instant: a process that asks for it in that very instant is refused.
    """
    try:
        file = os.open(state_dir / f"lock.{role}", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(file)
    finally:
        os.close(file)
    return None


def _holder(file: int) -> str:
    try:
        found = json.loads(os.pread(file, 4096, 0))
        return f"process {found['pid']} on {found['host']} since {found['start']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
