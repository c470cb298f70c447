"""``python -m daemon.training JOB OUT``: one attempt, as an executor starts it.

OUT is the attempt's own directory. Exit status:

====  ==========================================================
0     done: OUT/result.json is complete
1     failed (``crash``)
2     wrong usage
3     a loss or a gradient is not finite (``non_finite``)
4     out of memory (``oom``)
====  ==========================================================

Other than 0 leaves one line in OUT/error.json: ``{"reason": …, "error": …}``, and the traceback on
standard error.

Guarantees: 1. it dies with the process that started it (Linux: PR_SET_PDEATHSIG); 2. it never reaches
the network (``HF_HUB_OFFLINE``).
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from daemon.process import die_with_parent

FAILURES = {"crash": 1, "non_finite": 3, "oom": 4}
"""Reason -> exit status."""

_USAGE = "usage: python -m daemon.training JOB OUT   (both directories; OUT is made)"
_NO_MEMORY = ("can't allocate memory", "not enough memory", "cannot allocate memory", "out of memory")


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(_USAGE, file=sys.stderr)  # noqa: T201 - wrong usage is told where it was used
        return 2
    die_with_parent(os.getppid())
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    job, out = Path(arguments[0]), Path(arguments[1])
    out.mkdir(parents=True, exist_ok=True)
    try:
        from daemon.clock import SystemClock
        from daemon.training.attempt import Attempt

        Attempt(job, out, SystemClock()).run()
    except Exception as error:  # noqa: BLE001 - whatever it was is reported to the executor
        traceback.print_exc()
        return report(out, error)
    return 0


def report(out: Path, error: BaseException) -> int:
    """Write OUT/error.json; returns the exit status."""
    import orjson

    reason = reason_of(error)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    (out / "error.json").write_bytes(orjson.dumps({"reason": reason, "error": line}) + b"\n")
    return FAILURES[reason]


def reason_of(error: BaseException) -> str:
    """``non_finite``, ``oom`` or ``crash``. torch says a failed CPU allocation by a RuntimeError."""
    from daemon.errors import NonFiniteLoss, TrainingOutOfMemory

    if isinstance(error, NonFiniteLoss):
        return "non_finite"
    told = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)
    return "oom" if told or isinstance(error, MemoryError | TrainingOutOfMemory) else "crash"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
