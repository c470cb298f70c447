"""A child that dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "_RETAIND_SUPERVISOR_PID"
"""Environment variable in which the supervisor tells its children whom to die with."""
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent goes: a crash of the supervisor is a crash of the whole.

    The parent is known by its pid, not by "not 1": in a container the supervisor may itself be pid 1, and
    an orphan may be adopted by another process than that. Exits where the parent is gone already.
    """
    parent = int(os.environ.get(PARENT) or os.getppid())
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we could ask
        os._exit(1)
