"""Two things at once: work that needs no interpreter, and what its caller has to do meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable


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
    thread.start()
    try:
        meanwhile()
    finally:
        thread.join()
        if errors:
            raise errors[0]
