"""Work beside what is urgent, and work that is waited for."""

from __future__ import annotations

import os
import sys
import threading

import pytest
import torch

from daemon.beside import AT_ONCE, NICENESS, beside


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def fail() -> None:
    raise ValueError("it did not work")


def test_the_thread_yields_to_others_and_uses_the_threads_it_was_given() -> None:
    # Given a thread beside
    with beside(1) as executor:
        # When work is done there
        there, threads = executor.submit(niceness).result(), executor.submit(torch.get_num_threads).result()
    # Then it is nicer than we are, and torch keeps to its share
    if sys.platform == "linux":
        assert there == NICENESS > niceness()
    assert threads == 1


def test_at_once_is_done_when_it_returns() -> None:
    future = AT_ONCE.submit(max, 2, 3)
    assert future.done()
    assert future.result() == 3


def test_what_fails_tells_whoever_asks() -> None:
    with beside(1) as executor:
        for future in (executor.submit(fail), AT_ONCE.submit(fail)):
            with pytest.raises(ValueError, match="did not work"):
                future.result()
