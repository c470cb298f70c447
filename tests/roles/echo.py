"""A request loop whose model answers a text with itself, on topics in memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, cast

from daemon.config.decoders import DecoderConfig
from daemon.events import Input
from daemon.roles.predict import RequestLoop
from daemon.serving.predictor import Predictor
from daemon.stream.decoders import get_decoder
from daemon.stream.delivery import AtLeastOnce
from daemon.tasks.schema import get_schema
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource


class Echo:
    def submit(self, task: str, inputs: Sequence[Input], top_k: int, *, block: bool) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result([{"label": value.text} for value in inputs])
        return future


def echo() -> Predictor:
    return cast(Predictor, Echo())


def echo_loop(broker: MemoryBroker, sink: MemorySink, decoder: DecoderConfig) -> RequestLoop:
    """Reads topic ``in``, answers to ``out``."""
    source = MemorySource(broker, ["in"], "g")
    return RequestLoop(
        source,
        AtLeastOnce(source, sink),
        echo(),
        {"in": get_decoder(decoder, default_task="support")},
        {"support": get_schema("sequence")},
        FakeClock(),
        "out",
        5,
    )
