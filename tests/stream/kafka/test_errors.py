"""Every error of kafka-python is one of ours, chosen on purpose."""

from __future__ import annotations

import pytest
from kafka import errors as foreign

from daemon.errors import (
    Fenced,
    PositionLost,
    Rebalanced,
    RecordRefused,
    StreamDenied,
    StreamError,
    StreamUnavailable,
    TopicMissing,
)
from daemon.stream.kafka.errors import MAP, ours, translated

ROOTS = (foreign.KafkaError, foreign.BrokerResponseError)
"""Only what has no nearer ancestor falls back to these, so they are left out of the map."""
ALL = sorted(
    {
        kind
        for kind in vars(foreign).values()
        if isinstance(kind, type) and issubclass(kind, foreign.KafkaError) and kind not in ROOTS
    },
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_of_the_client_is_mapped(kind: type[foreign.KafkaError]) -> None:
    assert any(ancestor in MAP for ancestor in kind.__mro__), f"{kind.__name__}: say in errors.py what it becomes"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (foreign.KafkaTimeoutError(), StreamUnavailable),
        (foreign.NotLeaderForPartitionError(), StreamUnavailable),
        (foreign.UnknownTopicOrPartitionError(), TopicMissing),
        (foreign.TopicAuthorizationFailedError(), StreamDenied),
        (foreign.SaslAuthenticationFailedError(), StreamDenied),
        (foreign.CommitFailedError(), Rebalanced),
        (foreign.FencedInstanceIdError(), Fenced),
        (foreign.ProducerFencedError(), Fenced),
        (foreign.OffsetOutOfRangeError(), PositionLost),
        (foreign.MessageSizeTooLargeError(), RecordRefused),
        (foreign.KafkaConfigurationError(), StreamError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_nearest_ancestor_decides(error: foreign.KafkaError, expected: type[StreamError]) -> None:
    assert ours(error) is expected
    with pytest.raises(expected, match="the subject: ") as caught, translated("the subject"):
        raise error
    assert caught.value.__cause__ is error
    assert type(caught.value) is expected
