"""Given a topic that takes no answer, when requests come, then they wait and the role goes on."""

from __future__ import annotations

import threading

import orjson
import pytest

from daemon.config.decoders import JsonDecoder
from daemon.errors import RecordRefused, StreamUnavailable
from daemon.roles import predict
from daemon.stream.ports import OutRecord
from daemon.testing import MemoryBroker, MemorySink
from tests.roles.echo import echo_loop


class Refusing(MemorySink):
    """Refuses what it is sent, so many times; stops the loop when it takes something."""

    def __init__(self, broker: MemoryBroker, error: type[Exception], stop: threading.Event) -> None:
        super().__init__(broker)
        self.left, self.error, self.stop = 2, error, stop

    def flush(self, timeout_s: float) -> None:
        if self.left:
            self.left -= 1
            raise self.error("the topic takes at most 10 bytes")
        super().flush(timeout_s)
        self.stop.set()


@pytest.mark.parametrize("error", [RecordRefused, StreamUnavailable])
def test_answers_wait_until_their_topic_takes_them(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    # Given a request, and a topic for answers that refuses them twice
    monkeypatch.setattr(predict, "RETRY_S", 0.01)
    broker, stop = MemoryBroker(), threading.Event()
    broker.append([OutRecord("in", orjson.dumps({"id": "a", "text": "x", "time": "2026-11-23T10:00:00Z"}))])
    loop = echo_loop(broker, Refusing(broker, error, stop), JsonDecoder())
    # When the role runs, then it does not end, and the request is answered in the end
    loop.run(stop)
    assert orjson.loads(broker.records("out")[-1].value or b"")["label"] == "x"
