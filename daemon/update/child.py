"""The first thing a trainer process does: be nice, die with its parent, then become ``daemon.training``.

``python -m daemon.update.child PARENT_PID MODULE ARGUMENTS…``
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

NICENESS = 10
PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask to die with it
        sys.exit(1)
    os.nice(NICENESS)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
