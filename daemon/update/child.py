"""The first thing a trainer process does: be nice, die with its parent, then become ``daemon.training``.

``python -m daemon.update.child PARENT_PID MODULE ARGUMENTS…``
"""

from __future__ import annotations

import os
import runpy
import sys

from daemon.process import die_with_parent

NICENESS = 10


def main() -> None:
    parent, module = int(sys.argv[1]), sys.argv[2]
    die_with_parent(parent)
    os.nice(NICENESS)
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
