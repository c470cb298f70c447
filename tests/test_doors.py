"""What the doors write to the stream, whatever decoder its topics have."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import orjson

from daemon.app import Rooms
from daemon.config.load import load
from daemon.doors import Doors
from daemon.events import Input, Op
from daemon.metrics import PrometheusObserver
from daemon.roles.predict import ANSWERED
from daemon.serving.predictor import Predictor
from daemon.serving.watch import Watcher
from daemon.stream.ports import Record
from daemon.testing import MemoryBroker, MemorySink

MAPPED = "{kind: mapped, id: number, label: category}"
TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)


def made(rooms: Rooms, broker: MemoryBroker) -> Doors:
    nothing: Any = None
    observer = PrometheusObserver(["support"])
    return Doors(rooms, cast(Predictor, nothing), cast(Watcher, nothing), MemorySink(broker), observer)


def test_events_and_answers_over_http_are_read_by_a_topic_of_another_schema(tmp_path: Path) -> None:
    # Given topics of a schema that is not ours
    inputs = f"stream.inputs=[{{topic: in, decoder: {MAPPED}}}, {{topic: asked, decoder: {MAPPED}, predict: true}}]"
    rooms = Rooms.make(load(None, ["tasks={support: {}}", f"state_dir={tmp_path}", inputs], {}).config)
    broker = MemoryBroker()
    doors = made(rooms, broker)
    # When HTTP brings an erasure, and a request with an id and a trace
    doors.append([orjson.dumps({"id": "a", "op": "delete"})])
    doors.predictions("support", [Input("x")], ["b"], [{"label": "y"}], 1.0, TRACE)
    # Then the topics' own decoders read both
    decoders = rooms.decoders()
    (erasure,), (asked,), (answer,) = (broker.records(topic) for topic in ("in", "asked", "retaind.predictions"))

    def read(record: Record) -> tuple[str, str, Op]:
        event = decoders[record.topic].decode(record)
        return event.id, event.task, event.op

    assert read(erasure) == ("a", "support", Op.DELETE)
    assert read(asked) == ("b", "support", Op.UPSERT)
    # And request and answer carry the trace
    assert (ANSWERED, b"http") in asked.headers
    assert asked.headers[-1:] == answer.headers == TRACE


def test_metrics_tell_of_labels_before_the_first_event(tmp_path: Path) -> None:
    # Given a state directory in which nothing has happened yet
    rooms = Rooms.make(load(None, ["tasks={support: {}}", f"state_dir={tmp_path}"], {}).config)
    # When metrics are asked for, then the series of labels are there
    lines = made(rooms, MemoryBroker()).metrics().decode().splitlines()
    for name in ("label_suspects", "label_contradictions"):
        assert f'retaind_{name}{{task="support"}} 0.0' in lines
