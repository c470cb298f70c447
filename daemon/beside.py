"""Where work goes that would hold up what is more urgent: a polite thread beside it, or nowhere (it is waited for)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

NICENESS = 10
"""That of trainers, too."""

Given = ParamSpec("Given")
Made = TypeVar("Made")


class AtOnce(Executor):
    """Runs what it is given before :meth:`submit` returns: the same log, the same answers, whatever the machine is busy
    with."""

    def submit(self, fn: Callable[Given, Made], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Made]:
        future: Future[Made] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result is told
            future.set_exception(error)
        return future


AT_ONCE = AtOnce()


def beside(threads: int) -> Executor:
    """One thread, with torch's ``threads``, that yields to all others (on Linux; elsewhere it competes with them)."""

    def begin() -> None:
        import torch

        torch.set_num_threads(threads)
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

    return ThreadPoolExecutor(1, "beside", initializer=begin)
