"""A call that may never come back, made in a thread of its own.

kafka-python waits without end for a broker that died in mid-transaction, and its ``close`` can hang. The thread
of a call that did not come back is left to itself (a daemon thread: it does not keep the process).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog
from kafka.errors import KafkaError

from daemon.errors import StreamError, StreamUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


def within(timeout_s: float, what: str, call: Callable[[], T]) -> T:
    """What ``call`` returns or raises. Raises StreamUnavailable when it takes longer than ``timeout_s``."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=run, name=f"kafka: {what}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if errors:
        raise errors[0]
    if not results:
        raise StreamUnavailable(f"{what}: no answer for {timeout_s:g} s")
    return results[0]


def let_go(timeout_s: float, what: str, close: Callable[[], object]) -> None:
    """Close a client and return in time, whatever the brokers do: leaving must not fail because they are away."""
    try:
        within(timeout_s, f"closing {what}", close)
    except (StreamError, KafkaError) as error:
        log.warning("not_closed", client=what, error=str(error))
