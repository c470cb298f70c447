"""A request's trace goes on with its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from daemon.config.decoders import CloudEventsDecoder
from daemon.stream.ports import OutRecord
from daemon.testing import MemoryBroker, MemorySink
from tests.roles.echo import echo_loop

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST: Mapping[str, Any] = {"id": "a", "text": "x", "time": "2026-11-23T10:00:00Z"}


def test_a_prediction_carries_the_trace_of_its_request() -> None:
    # Given requests with a trace in a header, in a CloudEvent, with a malformed one, and with none
    broker = MemoryBroker()
    envelope = {"specversion": "1.0", "id": "b", "type": "t", "source": "/s", "data": REQUEST}
    broker.append(
        [
            OutRecord("in", orjson.dumps(envelope), headers=(("traceparent", PARENT), ("other", b"x"))),
            OutRecord("in", orjson.dumps({**envelope, "traceparent": PARENT.decode(), "tracestate": "a=1"})),
            OutRecord("in", orjson.dumps(envelope), headers=(("traceparent", b"malformed"),)),
            OutRecord("in", orjson.dumps(envelope)),
        ]
    )
    # When they are answered
    echo_loop(broker, MemorySink(broker), CloudEventsDecoder()).step(0.0)
    # Then each answer has the trace of its own request, and nothing else
    parent = ("traceparent", PARENT)
    carried = [record.headers for record in broker.records("out")]
    assert carried == [(parent,), (parent, ("tracestate", b"a=1")), (), ()]
