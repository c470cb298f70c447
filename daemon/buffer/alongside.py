"""Two things at once: work that needs no interpreter, and what its caller has to do meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SWITCH_S = 0.0005
"""How long a thread that wants the interpreter waits for one that has it. Python's own 5 ms, at each of the few dozen
calls that ``work`` is made of, would be as long as the work."""


def alongside(work: Callable[[], object], meanwhile: Callable[[], object]) -> None:
    """Do ``work`` on a thread of its own, ``meanwhile`` on this one; return once both have ended.

    Raises what ``work`` raised, else what ``meanwhile`` raised. It pays where ``work`` waits, or is long inside
    calls that let other threads run.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=run, name="alongside")
    with _switching():
        thread.start()
        try:
            meanwhile()
        finally:
            thread.join()
            if errors:
                raise errors[0]


@contextmanager
def _switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
