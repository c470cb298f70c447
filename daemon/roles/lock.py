"""One process per role and state directory: an advisory lock that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from daemon.errors import LockHeld

WAIT_S = 0.2


class RoleLock:
    """``lock.ROLE`` in the state directory; a context manager once acquired."""

    def __init__(self, state_dir: Path, role: str) -> None:
        self._path = state_dir / f"lock.{role}"
        self._role = role
        self._handle: int | None = None

    def acquire(self, *, standby: bool = False) -> RoleLock:
        """Raises LockHeld naming the holder; with ``standby`` it waits instead."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not standby:
                    holder = os.read(handle, 4096).decode(errors="replace").strip() or "an unknown process"
                    os.close(handle)
                    raise LockHeld(
                        f"the {self._role} role of {self._path.parent} is held by {holder}; stop it, or use --standby"
                    ) from None
                time.sleep(WAIT_S)
        os.ftruncate(handle, 0)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": round(time.time())})
        os.pwrite(handle, holder.encode(), 0)
        self._handle = handle
        return self

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> RoleLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
