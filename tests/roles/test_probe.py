"""A probe through the role that answers: timed, and written nowhere."""

from __future__ import annotations

import orjson

from daemon.observe import NullObserver
from daemon.roles.predict import RequestLoop
from daemon.roles.probe import PROBE, Probe, probe_time
from daemon.serving.predictor import Predictor
from daemon.stream.decoders import get_decoder
from daemon.stream.delivery import AtLeastOnce
from daemon.stream.ports import OutRecord, Record
from daemon.tasks.schema import get_schema
from daemon.testing import FakeClock, MemoryBroker, MemorySink, MemorySource
from tests.serving.fakes import FakeServed


class Timing(NullObserver):
    def __init__(self) -> None:
        self.measured: list[tuple[str, float, str]] = []

    def measure(self, metric: str, value: float, **labels: str) -> None:
        if "stage" in labels:
            self.measured.append((metric, value, labels["stage"]))


def test_a_probe_is_answered_and_timed_and_its_answer_is_nowhere() -> None:
    # Given a request between two probes, three seconds old when they are read
    clock, broker, observer = FakeClock(1000.0), MemoryBroker(), Timing()
    sink, predictor = MemorySink(broker), Predictor(4096, 16)
    predictor.swap("support", FakeServed(1, 0))
    probe = Probe(sink, clock, "requests", "support", 1.0)
    request = {"id": "r", "task": "support", "time": "2026-01-01T00:00:00Z", "text": "hi"}
    probe.step()
    probe.step()  # not due yet
    broker.append([OutRecord("requests", orjson.dumps(request), b"r")])
    clock.advance(1)
    probe.step()
    clock.advance(2)
    # When they are answered
    decoders, schemas = {"requests": get_decoder()}, {"support": get_schema("sequence")}
    source = MemorySource(broker, ["requests"], "g")
    loop = RequestLoop(
        source, AtLeastOnce(source, sink), predictor, decoders, schemas, clock, "predictions", 3, observer
    )
    assert loop.step(0.0) == 1
    predictor.close()
    # Then both probes are timed, and only the request has a prediction
    assert observer.measured == [("probe_seconds", 3.0, "answered"), ("probe_seconds", 2.0, "answered")]
    (answer,) = broker.records("predictions")
    assert orjson.loads(answer.value or b"")["id"] == "r"


def test_what_is_no_time_is_no_probe() -> None:
    for value in (b"", b"soon", b"nan", b"inf"):
        assert probe_time(Record("t", 0, 0, 0.0, None, b"", ((PROBE, value),))) is None
    assert probe_time(Record("t", 0, 0, 0.0, None, b"", ((PROBE, b"1.5"),))) == 1.5


def test_no_interval_or_nothing_that_is_answered_means_no_probe() -> None:
    clock, broker = FakeClock(), MemoryBroker()
    for topic, interval_s in (("requests", 0.0), (None, 1.0)):
        probe = Probe(MemorySink(broker), clock, topic, "support", interval_s)
        clock.advance(10)
        probe.step()
    assert broker.records("requests") == []
