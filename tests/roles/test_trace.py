"""A request's trace goes on with its prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, cast

import orjson

from daemon.config.decoders import CloudEventsDecoder
from daemon.events import Input
from daemon.roles.predict import RequestLoop
from daemon.serving.predictor import Predictor
from daemon.stream.decoders import get_decoder
from daemon.stream.delivery import AtLeastOnce
from daemon.stream.ports import OutRecord
from daemon.tasks.schema import get_schema
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REQUEST: Mapping[str, Any] = {"id": "a", "text": "x", "time": "2026-11-23T10:00:00Z"}


class Echo:
    def submit(self, task: str, inputs: Sequence[Input], top_k: int, *, block: bool) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result([{"label": value.text} for value in inputs])
        return future


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
    source = MemorySource(broker, ["in"], "g")
    loop = RequestLoop(
        source,
        AtLeastOnce(source, MemorySink(broker)),
        cast(Predictor, Echo()),
        {"in": get_decoder(CloudEventsDecoder(), default_task="support")},
        {"support": get_schema("sequence")},
        FakeClock(),
        "out",
        5,
    )
    # When they are answered
    loop.step(0.0)
    # Then each answer has the trace of its own request, and nothing else
    parent = ("traceparent", PARENT)
    carried = [record.headers for record in broker.records("out")]
    assert carried == [(parent,), (parent, ("tracestate", b"a=1")), (), ()]
