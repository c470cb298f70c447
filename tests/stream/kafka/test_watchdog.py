"""Calls that may never come back."""

from __future__ import annotations

import threading

import pytest
from kafka.errors import KafkaTimeoutError

from daemon.errors import StreamDenied, StreamUnavailable
from daemon.stream.kafka.watchdog import let_go, within


def test_what_comes_back_in_time_is_handed_on() -> None:
    assert within(5, "counting", lambda: 3) == 3


def test_what_is_raised_in_time_is_handed_on() -> None:
    def denied() -> None:
        raise StreamDenied("no")

    with pytest.raises(StreamDenied, match="no"):
        within(5, "asking", denied)


def test_what_does_not_come_back_is_left_and_said() -> None:
    release = threading.Event()
    with pytest.raises(StreamUnavailable, match=r"committing a transaction: no answer for 0\.05 s"):
        within(0.05, "committing a transaction", release.wait)
    release.set()


def test_leaving_does_not_fail_because_a_broker_is_away() -> None:
    # Given a client whose close never returns, and one whose close raises
    release, closed = threading.Event(), []

    def raises() -> None:
        closed.append("raised")
        raise KafkaTimeoutError("no coordinator")

    # When they are let go, Then both come back
    let_go(0.05, "the consumer", release.wait)
    let_go(5, "the consumer", raises)
    assert closed == ["raised"]
    release.set()
