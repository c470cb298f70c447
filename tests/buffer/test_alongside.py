"""Two things at once, and what becomes of their errors."""

from __future__ import annotations

import sys
import threading

import pytest

from daemon.buffer.alongside import alongside


def test_work_is_done_on_another_thread_and_both_have_ended_afterwards() -> None:
    began, ended, threads = threading.Event(), threading.Event(), set()
    interval = sys.getswitchinterval()

    def work() -> None:
        threads.add(threading.get_ident())
        assert began.wait(10)  # only if the other one runs at the same time
        ended.set()

    def meanwhile() -> None:
        threads.add(threading.get_ident())
        began.set()

    alongside(work, meanwhile)
    assert ended.is_set()
    assert len(threads) == 2
    assert threading.get_ident() in threads
    assert sys.getswitchinterval() == interval


def test_the_error_of_work_goes_before_that_of_what_is_done_meanwhile() -> None:
    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(KeyError):
        alongside(lambda: fail(KeyError()), lambda: None)
    with pytest.raises(ValueError, match="mine"):
        alongside(lambda: None, lambda: fail(ValueError("mine")))
    with pytest.raises(KeyError):
        alongside(lambda: fail(KeyError()), lambda: fail(ValueError("mine")))
