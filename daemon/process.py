"""What a process asks of its system and of its interpreter: to die with its parent, to collect no garbage just now."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SUPERVISOR = "_RETAIND_SUPERVISOR_PID"
"""Environment variable in which the supervisor tells its children whom to die with."""
PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux for SIGKILL when the parent goes, and exit at once where it is gone already.

    ``parent``: its pid; left out, what the supervisor said, else whoever is the parent now. A pid, not "not
    1": in a container the supervisor may itself be pid 1, and an orphan may be adopted by another process.
    """
    expected = parent or int(os.environ.get(SUPERVISOR) or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected:
        os._exit(1)


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for cycles inside: for a batch of many small objects that counting references frees anyway.

    What is left of them afterwards counts as old at once, and is gone through with all that is old, seldom.
    Measured in ingest: a third of its CPU time went into searches that found nothing.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.unfreeze()  # into the oldest generation, without looking at it
            gc.enable()
